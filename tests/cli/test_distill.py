"""The main job, end to end, on a budget of seconds."""

import json
from pathlib import Path

import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from stillhouse.models import build_model

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
    wanted = load_file(tmp_path / "runs/one/student/seed1/student.safetensors")
    for file in (tmp_path / "runs/one/student/seed1").iterdir():
        file.unlink()
    (tmp_path / "runs/one/scores.json").unlink()
    said = command("resume", "runs/one")
    assert said.code == 0, said.err
    assert "student seed 1: epoch 1" in said.out
    again = load_file(tmp_path / "runs/one/student/seed1/student.safetensors")
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
    assert "one seed gives no interval" in said.out.replace("\n", " ")


def test_a_product_that_was_changed_is_found(command, tmp_path: Path) -> None:
    command("distill", *TINY, "-o", "runs/one")
    teacher = next((tmp_path / "runs/shared").glob("teacher-*")) / "student.safetensors"
    damaged = bytearray(teacher.read_bytes())
    damaged[-1] ^= 1
    teacher.write_bytes(damaged)
    said = command("distill", *TINY, "--method", "th_kd", "-o", "runs/two")
    assert said.code == 2
    assert "is not what this stage wrote" in said.err
