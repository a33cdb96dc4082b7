"""What every run must hold, with detectors: check, resume, cache, two processes, study, product."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ecosystem.test_detection import cells
from ecosystem.tiny_detectors import OF_TRANSFORMERS, YOLOS
from PIL import Image
from ranks import launch
from safetensors.torch import load_file
from stop_amid import StopAmid

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.cli.boundary import guarded
from stillhouse.deploy.detector import DetectorConfig, DetectorPredictor, write_detector
from stillhouse.models import build_model
from stillhouse.models.detectors import as_detector
from stillhouse.recipes import load_recipe
from stillhouse.runs.run import prepare, run

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(900), pytest.mark.programs]
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


def written(folder: Path, *, images: int = 4, others: int = 2, **more: Any) -> Path:
    """A recipe beside its data, which is one step an epoch."""
    folder.mkdir(exist_ok=True)
    cells(folder / "cells", train=images, others=others)
    (folder / "recipe.yaml").write_text(json.dumps({**RECIPE, **more}))
    return folder / "recipe.yaml"


def called(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["stillhouse", *arguments])
        return guarded(app, list(arguments))


def epochs(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "runs/one").rglob("metrics.jsonl")
    return [each for path in lines for each in map(json.loads, path.read_text().splitlines())]


CACHED = {
    "cache": {"use": "always", "dtype": "float16"},
    "data": {**RECIPE["data"], "views": 2},
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a cached teacher, ended amid the student's training, that went on."""
    recipe = written(tmp_path_factory.mktemp("stopped"), **CACHED)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(recipe.parent)
        with pytest.raises(KeyboardInterrupt):
            run(prepare(load_recipe(recipe), recipe.parent / "runs/one", watcher=StopAmid(1)))
        run(prepare(load_recipe(recipe), recipe.parent / "runs/one"))
    return recipe.parent


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (found,) = (folder / "runs/one/trainings").rglob("student.safetensors")
    return load_file(found)


def test_a_stopped_run_goes_on_bit_for_bit(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(tmp_path / "a", **CACHED)
    monkeypatch.chdir(whole.parent)
    run(prepare(load_recipe(whole), whole.parent / "runs/one"))
    mine, theirs = weights(stopped), weights(whole.parent)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_maps_of_the_teacher_are_kept_in_float16_and_their_size_is_said_before(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three levels of 32 channels, 4 x 4, 2 x 2 and 1 x 1: what is said is what is there."""
    monkeypatch.chdir(stopped)
    assert called("check", "recipe.yaml", "-o", "runs/two") == 0
    said = capsys.readouterr().out
    (cache,) = (stopped / "runs/shared").glob("teacher-cache-*")
    maps = [load_file(shard)["value"] for shard in cache.rglob("*.safetensors")]
    assert {each.dtype for each in maps} == {torch.float16}
    assert sorted({tuple(each.shape) for each in maps}) == [(4, 32, n, n) for n in (1, 2, 4)]
    assert sum(each.nbytes for each in maps) == 2 * 4 * 32 * (16 + 4 + 1) * 2
    assert "teacher: cached once, 2 views, 10.8 kB" in said


def test_parts_of_the_detectors_loss_are_told(stopped: Path) -> None:
    last = [each for each in epochs(stopped) if each.get("stage") == "student"][-1]
    parts = last["parts"]
    assert set(parts) == {"classification", "box"}
    assert sum(parts.values()) == pytest.approx(last["terms"]["label"], rel=1e-4)


def test_the_product_gives_the_boxes_of_what_was_trained(stopped: Path) -> None:
    trained = build_model(
        SSDLITE["model"], classes=3, size=(64, 64), arguments=SSDLITE["arguments"]
    )
    trained.load_state_dict(weights(stopped))
    product = sh.load(stopped / "runs/one")
    assert isinstance(product, DetectorPredictor)
    image = torch.rand(2, 3, *product.config.frame)
    with torch.inference_mode():
        one, two = (as_detector(each).eval()(image) for each in (trained, product.model))
    assert torch.equal(one["detections"], two["detections"])


def test_two_processes_train_control_and_student(tmp_path: Path) -> None:
    # Two images or more on each process in every batch: one alone has no statistics at 1 x 1.
    written(tmp_path / "a", images=8, others=4, control=True, epochs=1, batch=8)
    launch(2, SCRIPT, tmp_path / "a", seconds=600)
    scores = json.loads((tmp_path / "a/runs/one/scores.json").read_text())
    assert {model["role"] for model in scores["models"]} == {"teacher", "control", "student"}
    assert {"classification", "box"} <= set(epochs(tmp_path / "a")[-1]["parts"])
    assert DetectorPredictor(tmp_path / "a/runs/one/student").classes == ("square", "bar")


def test_a_study_compares_detectors_of_several_families(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two arms beside the controls of their students; both products answer and are measured."""
    recipe = {name: value for name, value in RECIPE.items() if name != "method"}
    cells(tmp_path / "cells", train=4, others=2)
    arms = {
        "cwd": {"method": "cwd"},
        "yolos": {"method": "fgd", "student": {"model": "hf:yolos", "arguments": YOLOS}},
    }
    recipe |= {"epochs": 1, "control": True, "arms": arms}
    (tmp_path / "study.yaml").write_text(json.dumps(recipe))
    monkeypatch.chdir(tmp_path)
    assert called("run", "study.yaml", "-o", "runs/s") == 0
    table = json.loads((tmp_path / "runs/s/study.json").read_text())
    assert [arm["name"] for arm in table["arms"]] == ["cwd", "yolos"]
    capsys.readouterr()
    for arm in ("cwd", "yolos"):
        scores = json.loads((tmp_path / f"runs/s/arms/{arm}/scores.json").read_text())
        test = scores["models"][-1]["runs"][0]["test"]["last"]
        assert called("evaluate", f"runs/s/arms/{arm}", "--data", "cells") == 0
        assert f"mAP {100 * test:.2f}% on 2 images" in capsys.readouterr().out


FAMILIES = {"ssdlite-resnet10t": SSDLITE["arguments"], **OF_TRANSFORMERS}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_product_of_each_family_answers_in_pixels_of_the_image(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against the network itself, on an image that is shown at half its size in a wider frame."""
    torch.manual_seed(0)
    size = (64, 96)
    module = build_model(name, classes=3, size=size, arguments=FAMILIES[name])
    config = DetectorConfig(name, FAMILIES[name], ("square", "bar"), size, 64, {})
    write_detector(tmp_path / "product", config, module)
    pixels = np.random.default_rng(0).integers(0, 255, (128, 96, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "0.png")
    asked = ["predict", str(tmp_path / "product"), str(tmp_path / "0.png"), "--format", "json"]
    assert called(*asked, "--least", "0") == 0
    said = json.loads(capsys.readouterr().out)["boxes"]
    framed = torch.full((1, 3, *size), 124 / 255)
    small = np.array(image.resize((48, 64), 2))
    framed[0, :, :64, :48] = torch.from_numpy(small).permute(2, 0, 1) / 255
    with torch.inference_mode():
        rows = as_detector(module).eval()(framed)["detections"][0]
    rows = rows[rows[:, 0] >= 0]
    wanted = (2 * rows[:, 2:]).clamp(min=0).minimum(torch.tensor([96.0, 128, 96, 128]))
    assert len(said) == len(rows) > 0
    assert [box["class"] for box in said] == [config.classes[int(row[0])] for row in rows]
    found = torch.tensor([box["box"] for box in said])
    assert torch.allclose(found, wanted, atol=0.02)
    assert [box["score"] for box in said] == pytest.approx(rows[:, 1].tolist(), abs=1e-3)


@pytest.mark.parametrize("method", ["kd", "rkd"])
def test_methods_of_logits_and_embeddings_are_refused(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = written(tmp_path / "a", method=method)
    monkeypatch.chdir(recipe.parent)
    assert called("check", str(recipe)) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert "a detector, which gives boxes, and neither logits nor an embedding" in said
