"""Runs of detectors: two processes, and the methods that do not fit them."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ecosystem.test_detection import cells
from ranks import launch

from stillhouse.cli.app import app
from stillhouse.cli.boundary import guarded
from stillhouse.deploy.detector import DetectorPredictor

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(900)]
FCOS = {"model": "fcos-resnet10t", "arguments": {"channels": 32}}
SSDLITE = {"model": "ssdlite-resnet10t", "arguments": {"extra": [16, 16]}}
RECIPE: dict[str, Any] = {
    "data": {"source": "cells", "size": 64, "augment": {"flip": True, "scale": 1.2}},
    "task": "detection",
    "teacher": {**FCOS, "epochs": 1},
    "student": SSDLITE,
    "method": "pkd",
    "epochs": 2,
    "seeds": 1,
    "batch": 4,
    "clip": 5.0,
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "precision": "fp32",
    "control": False,
}
SCRIPT = """
import os, sys
import torch
from stillhouse.cli.boundary import guarded
from stillhouse.cli.app import app
torch.set_num_threads(1)
os.chdir(sys.argv[1])
rank = os.environ.get("RANK", "0")
sys.stdout, sys.stderr = open(f"out{rank}", "w"), open(f"err{rank}", "w")
sys.argv[1:] = ["run", "recipe.yaml", "-o", "runs/one"]
assert guarded(app, sys.argv[1:]) == 0
"""


def written(folder: Path, **more: Any) -> Path:
    """A recipe beside its data."""
    folder.mkdir(exist_ok=True)
    cells(folder / "cells")
    (folder / "recipe.yaml").write_text(json.dumps({**RECIPE, **more}))
    return folder / "recipe.yaml"


def called(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["stillhouse", *arguments])
        return guarded(app, list(arguments))


def epochs(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "runs/one").rglob("metrics.jsonl")
    return [each for path in lines for each in map(json.loads, path.read_text().splitlines())]


def test_two_processes_train_control_and_student(tmp_path: Path) -> None:
    written(tmp_path / "a", control=True, epochs=1)
    launch(2, SCRIPT, tmp_path / "a")
    scores = json.loads((tmp_path / "a/runs/one/scores.json").read_text())
    assert {model["role"] for model in scores["models"]} == {"teacher", "control", "student"}
    assert {"classification", "box"} <= set(epochs(tmp_path / "a")[-1]["parts"])
    assert DetectorPredictor(tmp_path / "a/runs/one/student").classes == ("square", "bar")


@pytest.mark.parametrize("method", ["kd", "rkd"])
def test_methods_of_logits_and_embeddings_are_refused(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = written(tmp_path / "a", method=method)
    monkeypatch.chdir(recipe.parent)
    assert called("check", str(recipe)) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert "a detector, which gives boxes, and neither logits nor an embedding" in said
