"""The main job and the comparison as commands, end to end, on a budget of seconds."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from stillhouse.methods import METHODS
from stillhouse.models import build_model
from stillhouse.recipes import arms

TINY = (
    *("--data", "digits", "--teacher", "convnet-8-8", "--student", "convnet-4-8"),
    *("--epochs", "1", "--batch", "128", "--seeds", "2", "--set", "precision=fp32"),
)
PRODUCTS = (
    "student.safetensors",
    "student-best.safetensors",
    "resolved.yaml",
    "environment.json",
    "metrics.jsonl",
    "products.json",
    "scores.json",
    "report.html",
)


def test_a_run_leaves_its_products_and_ends_with_a_verdict(command, tmp_path: Path) -> None:
    said = command("distill", *TINY, "-o", "runs/one")
    assert said.code == 0, said.err
    run = tmp_path / "runs" / "one"
    assert all((run / name).is_file() for name in PRODUCTS)
    scores = json.loads((run / "scores.json").read_text())
    assert [model["role"] for model in scores["models"]] == ["teacher", "control", "student"]
    assert scores["verdict"]["sentence"] in said.out.replace("\n", " ")
    assert "2 paired seeds" in scores["verdict"]["sentence"]
    gains = [
        s["test"]["last"] - c["test"]["last"]
        for s, c in zip(scores["models"][2]["runs"], scores["models"][1]["runs"], strict=True)
    ]
    assert scores["verdict"]["gain"] == sum(gains) / 2
    lines = (run / "metrics.jsonl").read_text().splitlines()
    stages = {json.loads(line)["stage"] for line in lines}
    assert stages == {"teacher", "control", "student"}
    assert "<html" in (run / "report.html").read_text()[:300].lower()
    environment = (run / "environment.json").read_text()
    assert str(tmp_path) not in environment
    assert yaml.safe_load((run / "resolved.yaml").read_text())["method"]["temperature"] == 4.0


def test_the_student_file_is_a_plain_state_dict(command, tmp_path: Path) -> None:
    assert command("distill", *TINY, "--method", "th_kd", "-o", "runs/th").code == 0
    path = tmp_path / "runs" / "th" / "student.safetensors"
    bare = build_model("convnet-4-8", classes=10, channels=1)
    bare.load_state_dict(load_file(path), strict=True)
    with safe_open(path, "pt") as file:
        assert "python" not in (file.metadata() or {})
    heads = json.loads((path.parent / "scores.json").read_text())["models"][2]["runs"][0]["heads"]
    assert set(heads) == {"teacher head", "mixture"}


def test_the_same_command_finds_the_run_finished(command, tmp_path: Path) -> None:
    first = command("distill", *TINY, "-o", "runs/one")
    weights = load_file(tmp_path / "runs/one/student.safetensors")
    again = command("distill", *TINY, "-o", "runs/one")
    assert again.code == 0
    assert "finished before" in again.out
    assert "epoch 1" not in again.out
    assert "epoch 1" in first.out
    for name, value in load_file(tmp_path / "runs/one/student.safetensors").items():
        assert torch.equal(value, weights[name])


def test_teacher_and_control_serve_all_methods(command, tmp_path: Path) -> None:
    command("distill", *TINY, "-o", "runs/one")
    other = command("distill", *TINY, "--method", "th_kd", "-o", "runs/two")
    assert other.out.count("finished before") == 3  # the teacher and two controls
    assert "student seed 1: epoch 1" in other.out


def test_resume_goes_on_where_a_run_was_stopped(command, tmp_path: Path) -> None:
    command("distill", *TINY, "-o", "runs/one")
    wanted = load_file(tmp_path / "runs/one/trainings/seed1/student.safetensors")
    for file in (tmp_path / "runs/one/trainings/seed1").iterdir():
        file.unlink()
    (tmp_path / "runs/one/scores.json").unlink()
    said = command("resume", "runs/one")
    assert said.code == 0, said.err
    assert "student seed 1: epoch 1" in said.out
    again = load_file(tmp_path / "runs/one/trainings/seed1/student.safetensors")
    assert all(torch.equal(again[name], value) for name, value in wanted.items())


def test_given_teacher_weights_are_not_trained(command, tmp_path: Path) -> None:
    command("distill", *TINY, "-o", "runs/one")
    teacher = next((tmp_path / "runs/shared").glob("teacher-*")) / "student.safetensors"
    said = command(
        "distill", *TINY, "--teacher-weights", teacher, "--no-control", "--seeds", 1, "-o", "runs/b"
    )
    assert said.code == 0, said.err
    scores = json.loads((tmp_path / "runs/b/scores.json").read_text())
    assert [model["role"] for model in scores["models"]] == ["teacher", "student"]
    assert scores["models"][0]["runs"][0]["given"]
    assert scores["verdict"]["word"] == "no control"
    assert "without a control" in said.out


def test_one_seed_gives_no_interval_and_says_so(command) -> None:
    said = command("distill", *TINY, "--seeds", 1, "-o", "runs/one")
    assert "too few seeds to tell" in said.out.replace("\n", " ")


def test_a_product_that_was_changed_is_found(command, tmp_path: Path) -> None:
    command("distill", *TINY, "-o", "runs/one")
    teacher = next((tmp_path / "runs/shared").glob("teacher-*")) / "student.safetensors"
    damaged = bytearray(teacher.read_bytes())
    damaged[-1] ^= 1
    teacher.write_bytes(damaged)
    said = command("distill", *TINY, "--method", "th_kd", "-o", "runs/two")
    assert said.code == 2
    assert f"{teacher} is damaged" in said.err
    assert "the same command trains it again" in said.err
    assert not (tmp_path / "runs/two/student").exists()


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
    assert again.out.count("finished before, taken from") == 1  # all of it, arms included
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
