"""What every run must hold, with detectors: check, resume, cache, two processes, study, product."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ecosystem.test_detection import cells
from ranks import launch
from safetensors.torch import load_file
from stop_amid import StopAmid

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.cli.boundary import guarded
from stillhouse.deploy.detector import DetectorPredictor
from stillhouse.models import build_model
from stillhouse.models.detectors import as_detector
from stillhouse.recipes import load_recipe
from stillhouse.runs.run import prepare, run

pytestmark = pytest.mark.ecosystem
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


def test_a_cached_run_goes_on_bit_for_bit_and_its_product_is_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cached = {"cache": {"use": "always", "dtype": "float16"}}
    cached["data"] = {**RECIPE["data"], "views": 2}
    recipe = written(tmp_path / "a", **cached)
    monkeypatch.chdir(recipe.parent)
    assert called("check", str(recipe)) == 0
    told = capsys.readouterr().out
    assert "cache" in told
    assert "MB" in told or "KB" in told or "kB" in told
    with pytest.raises(KeyboardInterrupt):
        run(prepare(load_recipe(recipe), recipe.parent / "runs/one",
                    watcher=StopAmid(1)))  # fmt: skip
    run(prepare(load_recipe(recipe), recipe.parent / "runs/one"))
    other = written(tmp_path / "b", **cached)
    monkeypatch.chdir(other.parent)
    run(prepare(load_recipe(other), other.parent / "runs/one"))
    mine, theirs = (
        load_file(next((each.parent / "runs/one/trainings").rglob("student.safetensors")))
        for each in (recipe, other)
    )
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    assert list((recipe.parent / "runs/shared").glob("teacher-cache-*"))
    last = [each for each in epochs(recipe.parent) if each.get("stage") == "pkd"][-1]
    parts = last["parts"]
    assert set(parts) == {"classification", "box"}
    assert sum(parts.values()) == pytest.approx(last["terms"]["label"], rel=1e-4)

    trained = build_model(
        SSDLITE["model"], classes=3, size=(64, 64), arguments=SSDLITE["arguments"]
    )
    trained.load_state_dict(mine)
    product = sh.load(recipe.parent / "runs/one")
    assert isinstance(product, DetectorPredictor)
    image = torch.rand(2, 3, *product.config.frame)
    with torch.inference_mode():
        one, two = (as_detector(each).eval()(image) for each in (trained, product.model))
    assert torch.equal(one["detections"], two["detections"])


def test_two_processes_train_control_and_student(tmp_path: Path) -> None:
    written(tmp_path / "a", control=True, epochs=1)
    launch(2, SCRIPT, tmp_path / "a")
    scores = json.loads((tmp_path / "a/runs/one/scores.json").read_text())
    assert {model["role"] for model in scores["models"]} == {"teacher", "control", "student"}
    assert {"classification", "box"} <= set(epochs(tmp_path / "a")[-1]["parts"])
    assert DetectorPredictor(tmp_path / "a/runs/one/student").classes == ("square", "bar")


def test_a_study_compares_detectors_of_several_families(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecosystem.tiny_detectors import RT_DETR, YOLOS

    cells(tmp_path / "cells")
    recipe = {name: value for name, value in RECIPE.items() if name != "method"}
    recipe |= {"epochs": 1, "teacher": {"model": "hf:rt_detr", "arguments": RT_DETR, "epochs": 1}}
    arms = {
        "cwd": {"method": "cwd"},
        "yolos": {"method": "fgd", "student": {"model": "hf:yolos", "arguments": YOLOS}},
    }
    (tmp_path / "study.yaml").write_text(json.dumps({**recipe, "control": True, "arms": arms}))
    monkeypatch.chdir(tmp_path)
    assert called("study", "study.yaml", "-o", "runs/s") == 0
    table = json.loads((tmp_path / "runs/s/study.json").read_text())
    assert len(table["arms"]) == 2
    said = sh.load(tmp_path / "runs/s/yolos").predict(tmp_path / "cells/test/0.png", least=0.0)
    assert set(said[0].labels) <= {"square", "bar"}


@pytest.mark.parametrize("method", ["kd", "rkd"])
def test_methods_of_logits_and_embeddings_are_refused(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = written(tmp_path / "a", method=method)
    monkeypatch.chdir(recipe.parent)
    assert called("check", str(recipe)) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert "a detector, which gives boxes, and neither logits nor an embedding" in said
