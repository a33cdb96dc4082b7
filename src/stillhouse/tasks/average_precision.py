"""Mean average precision of detections, by torchmetrics on faster-coco-eval: COCO's metric."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from stillhouse.data.detection.target import AREA, BOX, CLASS, CROWD, SCALE
from stillhouse.errors import MissingExtra

MAP, MAP50, MAP75 = "mAP", "mAP50", "mAP75"
SIZES = {"mAP small": "map_small", "mAP medium": "map_medium", "mAP large": "map_large"}
"""By COCO's areas: below 32 x 32 pixels, up to 96 x 96, above."""
DETECTED = "detections"
OVERLAPS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""COCO's thresholds of IoU."""
RECALLS = tuple(np.linspace(0.0, 1.0, 101).tolist())
"""COCO's recalls, at which precision is read. Both are float64, as pycocotools has them: those of
torchmetrics are float32, and a recall of 3 of 5 then fails 0.6: mAP was 0.1 points lower."""
_EVERY_AREA, _ALL_FOUND = 0, -1
"""Places in torchmetrics' table of precisions: any area; the best 100 detections."""


@dataclass(frozen=True)
class Precisions:
    """What is measured of a table.

    Args:
        named: mAP, mAP50, mAP75, and by size where the table has boxes of it, in 0..1.
        of_class: class -> its AP, where the table has boxes of it.
        curves: class -> precision at IoU 0.5, for each of `RECALLS`, [101] in 0..1.
    """

    named: Mapping[str, float]
    of_class: Mapping[int, float]
    curves: Mapping[int, Tensor]


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
    table = got["precision"][..., _EVERY_AREA, _ALL_FOUND]  # [IoU, recall, class]
    there = {
        int(number): table[..., at]
        for at, number in enumerate(got["classes"].reshape(-1))
        if bool((table[..., at] >= 0).any())
    }
    return Precisions(
        {name: max(value, 0.0) for name, value in known.items()},
        {number: float(each.mean()) for number, each in there.items()},
        {number: each[0] for number, each in there.items()},
    )


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
    return MeanAveragePrecision(
        iou_thresholds=list(OVERLAPS),
        rec_thresholds=list(RECALLS),
        extended_summary=True,
        backend="faster_coco_eval",
    )


def check_metric() -> None:
    """Make sure that it can be computed. Raises MissingExtra."""
    _metric()
