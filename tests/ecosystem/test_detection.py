"""Detectors of torchvision, from a recipe to a verdict on mAP, and mAP against pycocotools."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner
from written_boxes import as_coco, as_objects, as_voc, as_yolo

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.data.detection.sources import read_boxes
from stillhouse.data.detection.target import packed
from stillhouse.data.detection.views import BoxViews, shown_view
from stillhouse.data.views import PLAIN_VIEW
from stillhouse.errors import ModelError
from stillhouse.models import build_model
from stillhouse.models.detectors import as_detector
from stillhouse.pairing import propose
from stillhouse.recipes import load_recipe
from stillhouse.runs.run import prepare, run
from stillhouse.tasks.average_precision import average_precision, in_pixels
from stillhouse.tasks.image_precision import matches, weighted_precision

pytestmark = [pytest.mark.ecosystem, pytest.mark.programs]


def label_of(boxes: list[list[float]], crowd: int = 0) -> torch.Tensor:
    """Boxes of class, left, top, right, bottom; the last so many are crowds."""
    rows = torch.tensor(boxes)
    corners = rows[:, 1:]
    many = torch.zeros(len(rows))
    many[len(rows) - crowd :] = 1
    area = (corners[:, 2:] - corners[:, :2]).prod(1)
    return packed(rows[:, 0], corners, many, area, scale=(1, 1), rows=12)


def scene(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Detections [N, 100, 6] near the truth, and their labels [N, 12, 9]."""
    made = torch.Generator().manual_seed(seed)
    found, labels = [], []
    for _ in range(20):
        corner = torch.rand(6, 2, generator=made) * 300
        size = torch.rand(6, 2, generator=made) * 150 + 5
        number = torch.randint(0, 3, (6, 1), generator=made).float()
        truth = torch.cat([number, corner, corner + size], 1)
        labels.append(label_of(truth.tolist()))
        noisy = truth[:, 1:].repeat(3, 1) + torch.randn(18, 4, generator=made) * 6
        noisy[:, 2:] = noisy[:, 2:].maximum(noisy[:, :2] + 1)
        rows = torch.full((100, 6), -1.0)
        rows[:18] = torch.cat([number.repeat(3, 1), torch.rand(18, 1, generator=made), noisy], 1)
        found.append(rows)
    return torch.stack(found), torch.stack(labels)


def by_pycocotools(found: torch.Tensor, labels: torch.Tensor) -> tuple[list[float], list[float]]:
    """Its six precisions, and AP of each class."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = {"images": [], "annotations": [], "categories": [{"id": n} for n in range(3)]}
    said = []
    for image, (rows, label) in enumerate(zip(found.tolist(), labels.tolist(), strict=True)):
        truth["images"].append({"id": image, "height": 500, "width": 500})
        for number, left, top, right, bottom, crowd, area, _, _ in label:
            if number >= 0:
                truth["annotations"].append({
                    "id": len(truth["annotations"]) + 1, "image_id": image, "area": area,
                    "category_id": int(number), "iscrowd": int(crowd),
                    "bbox": [left, top, right - left, bottom - top],
                })  # fmt: skip
        for number, score, left, top, right, bottom in rows:
            if number >= 0:
                box = [left, top, right - left, bottom - top]
                said.append({"image_id": image, "category_id": int(number), "score": score,
                             "bbox": box})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        judged = COCOeval(known, known.loadRes(said), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    precision = judged.eval["precision"][:, :, :, 0, -1]
    return judged.stats[:6].tolist(), precision.mean((0, 1)).tolist()


@pytest.mark.parametrize("crowd", [0, 1], ids=["no crowd", "a crowd in each image"])
@pytest.mark.parametrize("seed", [0, 1])
def test_mean_average_precision_is_that_of_pycocotools(seed: int, crowd: int) -> None:
    """Seed 0 with crowds has 50 boxes of a class, so that recalls fall on COCO's thresholds."""
    found, labels = scene(seed)
    labels[:, 5, 5] = crowd
    mine = average_precision(found, labels)
    stats, of_class = by_pycocotools(found, labels)
    assert list(mine.named.values()) == pytest.approx(stats, abs=1e-6)
    assert list(mine.of_class.values()) == pytest.approx(of_class, abs=1e-6)
    assert 0.05 < mine.named["mAP"] < 0.95


@pytest.mark.parametrize("crowd", [0, 1], ids=["no crowd", "a crowd in each image"])
def test_map_of_drawn_images_is_that_of_an_evaluation_of_them(crowd: int) -> None:
    found, labels = scene(2)
    labels[:, 5, 5] = crowd
    drawn = torch.randint(0, 20, (4, 20), generator=torch.Generator().manual_seed(0))
    drawn[0] = torch.arange(20)
    drawn[1] = 7  # one image twenty times
    weight = torch.stack([each.bincount(minlength=20) for each in drawn]).double().numpy()
    mine = weighted_precision(matches(found, labels), weight)
    for rows, values in zip(drawn, mine, strict=True):
        named = average_precision(found[rows], labels[rows]).named
        assert values.tolist() == pytest.approx(
            [named[n] for n in ("mAP", "mAP50", "mAP75")], abs=1e-6
        )
    assert len({round(value, 4) for value in mine[:, 0].tolist()}) == 4


def test_the_same_boxes_in_each_format_have_the_same_map(tmp_path: Path) -> None:
    """Detections near the boxes of COCO's form, judged by the boxes of each form."""
    made = (as_coco(tmp_path / "a"), as_yolo(tmp_path / "b"), as_voc(tmp_path / "c"), as_objects())
    labels = []
    for source in made:
        table = read_boxes(source, longest=48).parts["train"]
        labels.append(table.show(torch.arange(3), view=PLAIN_VIEW, seed=0)["label"])
    rows = in_pixels(labels[0])
    found = torch.full((3, 100, 6), -1.0)
    found[:, : rows.shape[1], 0], found[:, : rows.shape[1], 1] = rows[..., 0], 0.5
    found[:, : rows.shape[1], 2:] = rows[..., 1:5] + torch.tensor([0.0, 0.0, 2.0, 1.0])
    first, *others = (average_precision(found, label).named for label in labels)
    assert 0.3 < first["mAP"] < 1
    assert all(each == first for each in others)


def test_a_view_carries_boxes_and_is_a_function_of_its_seed() -> None:
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    image[:, 10:20, 30:50] = 255
    boxes = torch.tensor([[30.0, 10, 50, 20]])
    views = BoxViews(flip=True, scale=1.5, resized_crop=0.5, brightness=0.1)
    kept = 0
    for seed in range(12):
        shown, moved, keep, _ = shown_view(image, boxes, views, seed=seed)
        again = shown_view(image, boxes, views, seed=seed)
        assert torch.equal(shown, again[0])
        assert torch.equal(moved, again[1])
        assert shown.shape == image.shape
        if keep.any():
            kept += 1
            white = (shown[0] > 128).nonzero()
            top, left = white.amin(0).tolist()
            bottom, right = (white.amax(0) + 1).tolist()
            wanted = torch.tensor([left, top, right, bottom]).float()
            assert (moved[0] - wanted).abs().max() <= 2
    assert kept >= 6


def cells(folder: Path, *, train: int = 12, others: int = 4) -> Path:
    """Bright squares and dark bars on grey, in COCO's form: of training, validation and test."""
    made = np.random.default_rng(0)
    for split, count in (("train", train), ("val", others), ("test", others)):
        (folder / split).mkdir(parents=True)
        images, boxes = [], []
        for number in range(count):
            pixels = np.full((48, 64, 3), 124, dtype=np.uint8)
            for kind in (1, 2):
                x, y = int(made.integers(2, 40)), int(made.integers(2, 26))
                width, height = (14, 14) if kind == 1 else (20, 8)
                pixels[y : y + height, x : x + width] = 250 if kind == 1 else 10
                boxes.append({"id": len(boxes), "image_id": number, "category_id": kind,
                              "bbox": [x, y, width, height], "area": width * height,
                              "iscrowd": 0})  # fmt: skip
            Image.fromarray(pixels).save(folder / split / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png"})
        names = [{"id": 1, "name": "square"}, {"id": 2, "name": "bar"}]
        told = {"images": images, "annotations": boxes, "categories": names}
        (folder / split / "_annotations.coco.json").write_text(json.dumps(told))
    return folder


TINY = {"channels": 32}


def test_a_detector_is_distilled_judged_by_map_and_loaded(tmp_path: Path) -> None:
    source = cells(tmp_path / "cells")
    recipe = {
        "data": {"source": str(source), "size": 64, "augment": {"flip": True, "scale": 1.2}},
        "task": "detection",
        "teacher": {"model": "fcos-resnet10t", "arguments": TINY, "epochs": 1},
        "student": {"model": "retinanet-resnet10t", "arguments": TINY},
        "method": "cwd",
        "epochs": 6,
        "seeds": 1,
        "batch": 4,
        "clip": 5.0,
        "optimizer": {"name": "adamw", "lr": 1e-3},
    }
    written = tmp_path / "recipe.yaml"
    written.write_text(json.dumps(recipe))
    run(prepare(load_recipe(written), tmp_path / "run"))
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["task"]["metric"]["name"] == "mAP"
    notes = scores["models"][-1]["runs"][0]["notes"]
    assert notes["pairs"].startswith("backbone:0 - backbone:0")
    predictor = sh.load(tmp_path / "run")
    (found,) = predictor.predict(source / "test" / "0.png", least=0.0)
    assert found.boxes.shape == (len(found.labels), 4)
    assert set(found.labels) <= {"square", "bar"}
    assert (found.boxes[:, 2] <= 64).all()
    _figures_and_report(tmp_path / "run", scores)
    _at_the_command_line(tmp_path / "run", source, scores)


def _figures_and_report(directory: Path, scores: dict[str, Any]) -> None:
    """AP class by class with its gain, curves, and pictures with boxes on the page."""
    (figures,) = scores["figures"]
    names = [network["role"] for network in figures["networks"]]
    assert sorted(names) == ["control", "student", "teacher"]
    assert [one["name"] for one in figures["by_class"]] == ["square", "bar"]
    assert [one["count"] for one in figures["by_class"]] == [4, 4]
    for network in figures["networks"]:
        of = {name: one["value"] for name, one in network["figures"].items()}
        assert of["mAP"] == pytest.approx((of["AP of square"] + of["AP of bar"]) / 2, abs=1e-6)
        whole = network["figures"]["mAP"]
        assert whole["low"] - 1e-6 <= whole["value"] <= whole["high"] + 1e-6
    assert (figures["over"], figures["count"]) == ("images", 4)
    over = figures["gains"]["mAP"]
    assert over["low"] - 1e-6 <= over["value"] <= over["high"] + 1e-6
    gain = figures["gains"]["AP of bar"]["value"]
    student, control = (next(n for n in figures["networks"] if n["role"] == role)["figures"]
                        for role in ("student", "control"))  # fmt: skip
    assert gain == pytest.approx(student["AP of bar"]["value"] - control["AP of bar"]["value"])
    assert [plot["title"] for plot in figures["plots"]] == [
        "Precision against recall", "square, 4 boxes", "bar, 4 boxes"
    ]  # fmt: skip
    page = (directory / "report.html").read_text()
    assert "boxes.safetensors" in scores["files"]
    assert page.count('<image id="boxes-') >= 3
    assert '<use href="#boxes-0"/>' in page


def _at_the_command_line(directory: Path, source: Path, scores: dict[str, Any]) -> None:
    """Boxes as JSON and CSV, and mAP of the test images: what the run itself measured."""
    cli, images = CliRunner(), str(source / "test")
    (source / "test" / "broken.png").write_bytes(b"none")
    told = cli.invoke(app, ["predict", str(directory), images, "--format", "json", "--least", "0"])
    (source / "test" / "broken.png").unlink()
    assert told.exit_code == 3
    assert "1 of 5 images could not be read" in told.stderr
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [Path(line["image"]).name for line in lines] == ["0.png", "1.png", "2.png", "3.png"]
    wanted = sh.load(directory).predict([source / "test" / "0.png"], least=0.0)[0]
    assert [box["class"] for box in lines[0]["boxes"]] == list(wanted.labels)
    boxes = torch.tensor([box["box"] for box in lines[0]["boxes"]]).reshape(-1, 4)
    assert torch.allclose(boxes, wanted.boxes, atol=0.01)
    written = directory.parent / "boxes.csv"
    asked = ["predict", str(directory), images, "--format", "csv", "--least", "0"]
    assert cli.invoke(app, [*asked, "-o", str(written)]).exit_code == 0
    head, *rows = written.read_text().splitlines()
    assert head == "image,class,score,left,top,right,bottom"
    assert len(rows) == sum(len(line["boxes"]) for line in lines)
    said = cli.invoke(app, ["evaluate", str(directory), "--data", str(source)])
    test = scores["models"][-1]["runs"][0]["test"]["last"]
    assert said.stdout.startswith(f"mAP {100 * test:.2f}% on 4 images, the test part of")
    wrong = cli.invoke(app, ["evaluate", str(directory), "--data", str(source), "--boxes", "abc"])
    assert "choose among xyxy" in str(wrong.exception) + wrong.output


@pytest.mark.parametrize("name", ["fcos", "retinanet", "faster_rcnn"])
def test_every_detector_gives_loss_and_detections_and_has_levels(name: str) -> None:
    network = as_detector(build_model(f"{name}-resnet10t", classes=3, arguments=TINY))
    image = torch.rand(2, 3, 64, 64)
    label = torch.stack([label_of([[0.0, 5, 5, 30, 30]]), label_of([[1.0, 9, 2, 60, 40]])])
    network.train()
    given = network(image, label)
    assert given["loss"].shape == (2,)
    assert given["loss"][0] > 0
    given["loss"].mean().backward()
    network.eval()
    with torch.no_grad():
        assert network(image, label)["detections"].shape == (2, 100, 6)
    found = propose(network, network, image)
    assert found[0] == ("backbone:0", "backbone:0")
    assert len(found) >= 3


class Nothing(nn.Module):
    """Gives a tensor for a list of images."""

    def forward(self, images: list[torch.Tensor]) -> torch.Tensor:
        return images[0]


def test_a_network_that_is_no_detector_is_refused() -> None:
    with pytest.raises(ModelError, match="is no detector of torchvision's form"):
        as_detector(Nothing()).eval()(torch.zeros(1, 3, 2, 2))
