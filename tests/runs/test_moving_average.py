"""A run with a moving average: a row, a product, and nothing else that changes."""

import json

import pytest
import torch
from safetensors.torch import load_file

from stillhouse.errors import RecipeError
from stillhouse.models import build_model
from stillhouse.recipes import make_recipe
from stillhouse.report.record import read_run
from stillhouse.report.rows import table_rows
from stillhouse.runs.run import prepare, run
from stillhouse.runs.training.training import control_training, student_training

BASE = {
    "data": {"source": "digits", "limit": 120, "augment": "none"},
    "student": "convnet-4-8-8", "teacher": {"model": "convnet-4-8-8", "epochs": 1},
    "epochs": 2, "batch": 30, "seeds": 1, "precision": "fp32",
}  # fmt: skip


def test_it_is_scored_and_handed_over_for_student_and_control(tmp_path) -> None:
    job = prepare(make_recipe({**BASE, "ema": 0.9}), tmp_path / "run")
    outcome = run(job)
    runs = {model["role"]: model["runs"][0] for model in outcome.scores["models"]}
    assert "heads" not in runs["teacher"]
    for role in ("student", "control"):
        assert list(runs[role]["heads"]) == ["moving average"]
        assert runs[role]["heads_validation"].keys() == {"moving average"}
    files = {
        each["file"]: each["what"]
        for each in json.loads((tmp_path / "run/products.json").read_text())["products"]
    }
    name = "student-moving-average.safetensors"
    assert {name, "student-moving-average-best.safetensors", "student.safetensors"} <= set(files)
    assert "'moving average' of seed 0, last epoch (2), in the student's own class" in files[name]
    student = build_model("convnet-4-8-8", classes=10, channels=1, size=8)
    student.load_state_dict(load_file(tmp_path / "run" / name))
    right = total = 0
    with torch.inference_mode():
        for batch in job.data.test.once():
            right += int(
                (student.eval()(batch["batch.image"]).argmax(1) == batch["batch.label"]).sum()
            )
            total += len(batch["batch.label"])
    assert runs["student"]["heads"]["moving average"]["last"] == pytest.approx(right / total)
    rows = [row for row in table_rows(read_run(tmp_path / "run")) if row.model == "moving average"]
    assert [row.role for row in rows] == ["control", "student"]
    assert all(row.validation_last and row.test_last for row in rows)
    assert rows[0].note == "its weights, averaged over the training"


def test_off_it_changes_no_fingerprint(tmp_path) -> None:
    plain, off, on, other = (
        prepare(make_recipe({**BASE, **more}), tmp_path / "run")
        for more in ({}, {"ema": False}, {"ema": True}, {"ema": 0.9})
    )
    assert plain.average_settings == off.average_settings == {}
    assert on.average_settings == {"ema": {"decay": 0.999, "warmup": True}}
    teacher = plain.teacher.make(0)
    for of in (lambda job: control_training(job, 0), lambda job: student_training(job, 0, teacher)):
        identities = [of(job).identity for job in (plain, off, on, other)]
        assert identities[0] == identities[1]
        assert len(set(identities)) == 3


@pytest.mark.parametrize("value", [1.0, -0.1, "much", {"decay": 0.9, "warm": True}, [0.9]])
def test_what_is_no_average_is_refused(value) -> None:
    with pytest.raises(RecipeError, match="ema"):
        make_recipe({**BASE, "ema": value})
