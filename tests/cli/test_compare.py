"""The comparison as a command: one table, tuned KD chosen on validation, going on."""

import json
from pathlib import Path

import pytest
import yaml

from stillhouse.methods import METHODS
from stillhouse.recipes import arms

SMALL = ["--set", "data.limit=128", "--set", "precision=fp32", "--set", "compile=false"]
PAIR = ["--data", "digits", "--teacher", "convnet-8", "--student", "convnet-4"]
BUDGET = ["--epochs", "1", "--seeds", "2"]


def test_methods_are_compared_with_the_control_and_with_tuned_kd(command, tmp_path: Path) -> None:
    call = ["compare", "dkd", *PAIR, *BUDGET, *SMALL, "-o", tmp_path / "c"]
    said = command(*call)
    assert said.code == 0, said.err
    table = json.loads((tmp_path / "c/study.json").read_text())
    assert [arm["name"] for arm in table["arms"]][-2:] == ["kd", "dkd"]
    assert len(table["rivals"]) == 5
    means = {
        arm["name"]: sum(run["validation"]["last"] for run in arm["runs"]) / len(arm["runs"])
        for arm in table["arms"]
        if arm["name"] in table["rivals"]
    }
    assert means[table["against"]] == max(means.values())
    dkd = next(arm for arm in table["arms"] if arm["name"] == "dkd")
    assert dkd["over_against"]["seeds"] == 2
    assert "11 of 12 students" in said.out
    assert f"over {table['against']}"[:7] in said.out
    again = command(*call)
    assert again.out.count("finished before") == 6
    assert "is the best of 5 such arms on validation" in (tmp_path / "c/report.html").read_text()


def test_a_recipe_gives_data_networks_and_budget(command, tmp_path: Path) -> None:
    recipe = tmp_path / "kd.yaml"
    recipe.write_text("{data: digits, teacher: convnet-8, student: convnet-4, method: kd}")
    call = ["compare", "kd", "rkd", "--recipe", recipe, "--no-tune", *SMALL, "-o", tmp_path / "c"]
    said = command(*call, "--check")
    assert said.code == 0, said.err
    assert "all 2 arms fit together" in said.out
    assert not (tmp_path / "c").exists()
    wrong = command("compare", "kdd", "--recipe", recipe, "-o", tmp_path / "c")
    assert wrong.code == 2
    assert "no method 'kdd'; nearest: kd" in wrong.err


def test_all_leaves_out_what_does_not_fit_and_says_why(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A student of one resolution has no two levels for a flow, nor an early exit."""
    few = [each for each in METHODS if each.name in ("plain", "kd", "dkd", "fsp", "byot")]
    monkeypatch.setattr(arms, "METHODS", few)
    said = command("compare", "all", *PAIR, *BUDGET, *SMALL, "-o", tmp_path / "c", "--check")
    assert said.code == 0, said.err
    assert "left out: fsp: a flow leads from one pair of layers to the next" in said.out
    assert "left out: byot: ConvNet works at one resolution" in said.out
    assert "all 6 arms fit together" in said.out, "kd, its four other settings, and dkd"
    monkeypatch.setattr(arms, "METHODS", few[3:])
    none = command("compare", "all", *PAIR, "--no-tune", *SMALL, "-o", tmp_path / "c", "--check")
    assert none.code == 2


def test_a_study_is_no_recipe_for_it(command, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        "{data: digits, teacher: convnet-8, student: convnet-4, arms: {mine: {method: rkd}}}"
    )
    said = command("compare", "dkd", "--recipe", study, "-o", tmp_path / "c")
    assert said.code == 2
    assert "it is a study (it has 'arms'), whose arms compare would replace" in said.err
    assert f"stillhouse run {study}" in said.err


def test_a_balanced_comparison_still_tunes_its_opponent(command, tmp_path: Path) -> None:
    """Balance puts its own weights in place of all five settings, which would be two runs."""
    call = ["compare", "dkd", *PAIR, *BUDGET, *SMALL, "--set", "balance=gradient"]
    said = command(*call, "-o", tmp_path / "c")
    assert said.code == 0, said.err
    recipes = {
        path.parent.name: yaml.safe_load(path.read_text())
        for path in (tmp_path / "c/arms").glob("*/resolved.yaml")
    }
    balanced = {name for name, recipe in recipes.items() if recipe["balance"]}
    assert balanced == {"kd", "dkd"}
    assert len(recipes) == 6
