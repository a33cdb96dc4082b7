"""Mean average precision of detections, by torchmetrics on faster-coco-eval: COCO's metric."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from stillhouse.data.detection.target import AREA, BOX, CLASS, CROWD, SCALE
from stillhouse.errors import MissingExtra

MAP, MAP50, MAP75 = "mAP", "mAP50", "mAP75"
SIZES = {"mAP small": "map_small", "mAP medium": "map_medium", "mAP large": "map_large"}
"""By COCO's areas: below 32 x 32 pixels, up to 96 x 96, above."""
DETECTED = "detections"


@dataclass(frozen=True)
class Precisions:
    """What is measured of a table.

    Args:
        named: mAP, mAP50, mAP75, and by size where the table has boxes of it, in 0..1.
        of_class: class -> its AP, where the table has boxes of it.
    """

    named: Mapping[str, float]
    of_class: Mapping[int, float]


def in_source(detections: Tensor, label: Tensor) -> Tensor:
    """Detections in pixels of the images as they are stored.

    Shapes:
        detections: [B, D, 6] in pixels of the images as they are shown; label: [B, M, 9].
    """
    moved = detections.clone()
    moved[..., 2:] = detections[..., 2:] * label[:, :1, SCALE].repeat(1, 1, 2)
    return moved


def average_precision(detections: Tensor, label: Tensor) -> Precisions:
    """COCO's AP: over IoU 0.5 to 0.95, the best 100 detections of an image.

    Boxes of crowds are ignored, and areas are those that were annotated.

    Shapes:
        detections: [N, D, 6] in pixels of the source (class, score, box), class -1 fills up.
        label: [N, M, 9], see `stillhouse.data.detection.target`.

    Raises:
        MissingExtra: torchmetrics, torchvision or faster-coco-eval is not installed.
    """
    metric = _metric()
    metric.update(
        [_found(each) for each in detections], [_truth(each) for each in in_pixels(label)]
    )
    got: dict[str, Any] = metric.compute()
    told = {MAP: "map", MAP50: "map_50", MAP75: "map_75", **SIZES}
    named = {name: float(got[key]) for name, key in told.items()}
    # -1 says that there is no box of that kind.
    known = {n: v for n, v in named.items() if v >= 0 or n not in SIZES}
    classes, values = got["classes"].reshape(-1), got["map_per_class"].reshape(-1)
    of_class = {
        int(number): float(value)
        for number, value in zip(classes, values, strict=True)
        if float(value) >= 0
    }
    return Precisions({n: max(v, 0.0) for n, v in known.items()}, of_class)


def in_pixels(label: Tensor) -> Tensor:
    """A label whose boxes are in pixels of the source."""
    moved = label.clone()
    moved[..., BOX] = label[..., BOX] * label[..., SCALE].repeat(1, 1, 2)
    return moved


def _found(detections: Tensor) -> dict[str, Tensor]:
    rows = detections[detections[:, 0] >= 0]
    return {"boxes": rows[:, 2:], "scores": rows[:, 1], "labels": rows[:, 0].long()}


def _truth(label: Tensor) -> dict[str, Tensor]:
    rows = label[label[:, CLASS] >= 0]
    return {
        "boxes": rows[:, BOX],
        "labels": rows[:, CLASS].long(),
        "iscrowd": rows[:, CROWD].long(),
        "area": rows[:, AREA],
    }


def _metric() -> Any:
    try:
        import faster_coco_eval  # type: ignore[import-not-found]  # noqa: F401
        import torchvision  # noqa: F401
        from torchmetrics.detection import MeanAveragePrecision
    except ModuleNotFoundError as absent:
        raise MissingExtra("mean average precision", str(absent.name), "detection") from absent
    return MeanAveragePrecision(class_metrics=True, backend="faster_coco_eval")


def check_metric() -> None:
    """Make sure that it can be computed. Raises MissingExtra."""
    _metric()
