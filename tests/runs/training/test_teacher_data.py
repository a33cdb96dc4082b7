"""A teacher with a data budget of its own; validation, test and normalisation are the students'."""

from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.errors import RecipeError
from stillhouse.recipes import make_recipe
from stillhouse.runs.run import prepare
from stillhouse.runs.training.teachers import Teachers

RECIPE = {"student": "mlp-8", "epochs": 1, "precision": "fp32", "batch": 50}


def teacher_of(out: Path, teacher: dict[str, Any], **data: Any):
    values = {
        **RECIPE,
        "data": {"source": "digits", **data},
        "teacher": {"model": "mlp-8", **teacher},
    }
    job = prepare(make_recipe(values), out)
    return job, Teachers(job).trained(0).run


@pytest.mark.parametrize(("limit", "rows"), [("all", 1294), (300, 300)])
def test_it_learns_on_more_than_its_students(limit, rows, tmp_path: Path) -> None:
    job, run = teacher_of(tmp_path / "run", {"data": {"limit": limit}}, limit=100)
    seen = run.training.job.data
    assert len(seen.splits.train) == rows
    assert len(job.data.splits.train) == 100
    for part in ("validation", "test"):
        mine, its = getattr(job.data.splits, part), getattr(seen.splits, part)
        assert torch.equal(mine.images, its.images)
    assert seen.augment == job.data.augment  # mean and std: it is shown the students' images
    assert len(seen.train(0)) == rows // 50  # steps of an epoch
    _, other = teacher_of(tmp_path / "run2", {}, limit=100)
    assert other.training.identity != run.training.identity


def test_all_rows_are_those_of_a_run_without_a_limit(tmp_path: Path) -> None:
    _, run = teacher_of(tmp_path / "run", {"data": {"limit": "all"}}, limit=100)
    plain, _ = teacher_of(tmp_path / "plain", {})
    mine = run.training.job.data.splits
    assert mine.fingerprint == plain.data.splits.fingerprint


def test_it_may_have_an_augmentation_of_its_own(tmp_path: Path) -> None:
    job, run = teacher_of(tmp_path / "run", {"data": {"augment": ["flip"]}})
    assert (run.training.job.data.augment.flip, job.data.augment.flip) == (True, False)
    assert run.training.job.data.augment.mean == job.data.augment.mean


def test_a_given_teacher_learns_nothing() -> None:
    with pytest.raises(RecipeError, match="is not trained here, so data says nothing"):
        make_recipe({
            **RECIPE, "data": "digits",
            "teacher": {"model": "mlp-8", "weights": "w.safetensors", "data": {"limit": "all"}},
        })  # fmt: skip
