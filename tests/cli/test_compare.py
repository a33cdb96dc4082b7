"""The comparison as a command: one table, tuned KD chosen on validation, going on."""

import json
from pathlib import Path

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
