"""Scores on the test set: read once, and a network is left with the weights it had."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from stillhouse.models import weights_fingerprint
from stillhouse.recipes import make_recipe
from stillhouse.runs.judging.scoring import HeldOutScores, score_teacher
from stillhouse.runs.run import prepare
from stillhouse.runs.training.stage_run import BEST, product_file
from stillhouse.runs.training.teachers import Teachers

RECIPE = {
    "data": {"source": "digits", "limit": 160},
    "student": "mlp-8",
    "teacher": "mlp-16",
    "epochs": 2,
    "precision": "fp32",
}


def test_a_teacher_that_was_scored_has_its_last_weights(tmp_path: Path) -> None:
    """Students, heads and products read it afterwards; the best epoch is scored beside the last."""
    job = prepare(make_recipe(RECIPE), tmp_path / "run")
    trained = Teachers(job).trained(0)
    best = product_file(trained.run.directory, "student", BEST)
    save_file({key: torch.zeros_like(value) for key, value in load_file(best).items()}, best)
    trained = replace(trained, run=replace(trained.run, best_epoch=1))
    before = weights_fingerprint(trained.module)
    found = score_teacher(job, trained, HeldOutScores())
    assert found.test["student"]["best"] != found.test["student"]["last"]
    assert weights_fingerprint(trained.module) == before


def test_one_epoch_is_read_once_whoever_asks(tmp_path: Path, monkeypatch) -> None:
    job = prepare(make_recipe(RECIPE), tmp_path / "run")
    trained, held_out = Teachers(job).trained(0), HeldOutScores()
    first = score_teacher(job, trained, held_out)
    monkeypatch.setattr("stillhouse.runs.judging.scoring.scores_on", None)
    assert score_teacher(job, trained, held_out).test == first.test
