"""Detectors by name: torchvision's own names, and the DETR family of transformers."""

from typing import Any

import pytest
import torch
from ecosystem.tiny_detectors import OF_TORCHVISION, OF_TRANSFORMERS, RT_DETR
from torch import Tensor, nn

from stillhouse.data.detection.target import packed
from stillhouse.errors import ModelError
from stillhouse.models import build_model
from stillhouse.models.detectors import as_detector
from stillhouse.pairing import levels, propose

pytestmark = pytest.mark.ecosystem
SIZE = (64, 96)
BOXES = ([[5.0, 5, 30, 30]], [[9.0, 2, 60, 40], [1.0, 1, 20, 10]])
CLASSES = ([0.0], [1.0, 0.0])
CASES = {**OF_TORCHVISION, **OF_TRANSFORMERS}


def built(name: str) -> nn.Module:
    return build_model(name, classes=3, size=SIZE, arguments=CASES[name])


def batch() -> tuple[Tensor, Tensor]:
    labels = []
    for boxes, classes in zip(map(torch.tensor, BOXES), map(torch.tensor, CLASSES), strict=True):
        none = torch.zeros(len(boxes))
        labels.append(packed(classes, boxes, none, none, scale=(1, 1), rows=3))
    image = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    return image, torch.stack(labels)


@pytest.mark.parametrize("name", CASES)
def test_every_detector_gives_loss_parts_and_detections_and_has_levels(name: str) -> None:
    network = as_detector(built(name))
    image, label = batch()
    network.train()
    given = network(image, label)
    assert given["loss"].shape == (2,)
    parts = {key: value for key, value in given.items() if key.startswith("loss.")}
    assert {"loss.classification", "loss.box"} <= set(parts)
    assert sum(parts.values()) == pytest.approx(given["loss"].detach(), rel=1e-5)
    given["loss"].mean().backward()
    network.eval()
    with torch.no_grad():
        found = network(image, label)["detections"]
    assert found.shape == (2, 100, 6)
    real = found[found[..., 0] >= 0]
    assert set(real[:, 0].unique().tolist()) <= {0.0, 1.0}
    sizes = [level.resolution for level in levels(network, image)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) >= 2


def by_hand(name: str, logits: Tensor, boxes: Tensor) -> list[tuple[float, int, list[float]]]:
    """The surest ten of one image: sigmoids of all queries and classes, or a softmax with none."""
    middle, side = boxes[:, :2], boxes[:, 2:]
    corners = torch.cat([middle - side / 2, middle + side / 2], 1) * torch.tensor([96, 64, 96, 64])
    found = []
    for query, row in enumerate(logits.double()):
        if name in ("hf:yolos", "hf:detr"):
            chances = row.softmax(0)[:-1]
            kinds = [int(chances.argmax())]
        else:
            chances = row.sigmoid()
            kinds = list(range(len(row)))
        found += [(float(chances[kind]), kind, corners[query].tolist()) for kind in kinds]
    return sorted(found, key=lambda each: -each[0])[:10]


@pytest.mark.parametrize("name", OF_TRANSFORMERS)
def test_a_detector_of_transformers_answers_by_its_own_formulas(name: str) -> None:
    torch.manual_seed(3)
    network = built(name)
    with torch.no_grad():
        for value in network.parameters():  # what is fresh is sure of nothing
            value.mul_(1.5)
    image, label = batch()
    shown = image
    if name in ("hf:yolos", "hf:detr"):  # what their processors do
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        shown = (image - mean[:, None, None]) / std[:, None, None]
    sides = torch.tensor([96.0, 64, 96, 64])
    targets = []
    for corners, classes in zip(map(torch.tensor, BOXES), map(torch.tensor, CLASSES), strict=True):
        low, high = (corners / sides)[:, :2], (corners / sides)[:, 2:]
        targets.append({
            "class_labels": classes.long(), "boxes": torch.cat([(low + high) / 2, high - low], 1)
        })  # fmt: skip
    network.train()
    torch.manual_seed(0)
    wanted = network(pixel_values=shown, labels=targets).loss
    as_detector(network).train()
    torch.manual_seed(0)
    assert network(image, label)["loss"][0].item() == pytest.approx(wanted.item(), rel=1e-4)
    network.eval()
    with torch.no_grad():
        found = network(image)["detections"]
        output = network(pixel_values=shown)
    for rows, logits, boxes in zip(found, output.logits, output.pred_boxes, strict=True):
        said = by_hand(name, logits, boxes)
        assert rows[:10, 1].tolist() == pytest.approx([each[0] for each in said], abs=1e-5)
        assert rows[:10, 0].tolist() == [each[1] for each in said]
        assert rows[0, 2:].tolist() == pytest.approx(said[0][2], abs=1e-2)


def test_families_pair_by_resolution() -> None:
    image = torch.zeros(2, 3, *SIZE)
    student, teacher = as_detector(built("fcos-resnet10t")), as_detector(built("hf:rt_detr"))
    assert propose(student, teacher, image) == tuple(
        (f"backbone:{at}", f"model:encoder_last_hidden_state.{at}") for at in range(3)
    )


def test_weights_of_coco_are_read_but_for_what_the_classes_decide(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import models

    name = "ssdlite320_mobilenet_v3_large"
    theirs = models.get_model(name, weights=None, weights_backbone=None, num_classes=91)
    url = models.get_model_weights(name).DEFAULT.url
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(theirs.state_dict(), folder / url.rpartition("/")[2])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    mine = build_model(f"torchvision:{name}:pretrained", classes=3).state_dict()
    same = [torch.equal(value, mine[key]) for key, value in theirs.state_dict().items()
            if value.shape == mine[key].shape]  # fmt: skip
    assert len(same) > 300
    assert all(same)
    assert any(value.shape != mine[key].shape for key, value in theirs.state_dict().items())


@pytest.mark.parametrize(("name", "arguments", "said"), [
    ("torchvision:fcos_resnet50_fpn", {"nothing": 1}, "cannot be built with arguments"),
    ("fcos-resnet10t", {"channel": 32}, "there is no 'channel'; nearest: channels"),
    ("torchvision:maskrcnn_resnet50_fpn", {}, "torchvision has no model 'maskrcnn_resnet50_fpn'"),
    ("hf:rt_detr", {**RT_DETR, "num_querys": 3}, "has no setting 'num_querys'; nearest: num_quer"),
])  # fmt: skip
def test_what_cannot_be_built_is_refused(name: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        build_model(name, classes=3, size=SIZE, arguments=arguments)


@pytest.mark.parametrize("name", ["torchvision:resnet18", "resnet8"])
def test_a_classifier_is_no_detector(name: str) -> None:
    with pytest.raises(ModelError, match="takes images alone, and no targets"):
        as_detector(build_model(name, classes=3))
