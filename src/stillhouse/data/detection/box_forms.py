"""What four numbers of a box mean: the forms in which annotations give boxes."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from stillhouse.data.detection.annotations import Floats
from stillhouse.errors import DataError

Format = Literal["coco", "yolo", "voc", "objects"]
"""Formats of annotations."""
BoxForm = Literal["xyxy", "xywh", "cxcywh", "xyxyn", "xywhn", "cxcywhn", "voc"]
XYXY, XYWH, CXCYWH, VOC = "xyxy", "xywh", "cxcywh", "voc"
SHARES = "n"
"""What the name of a form ends with whose numbers are shares of the width and height."""
FORMS = {
    XYXY: "left, top, right, bottom in pixels",
    XYWH: "left, top, width, height in pixels",
    CXCYWH: "middle, middle, width, height in pixels",
    "xyxyn": "the same as xyxy, as shares of the image's width and height",
    "xywhn": "the same as xywh, as shares",
    "cxcywhn": "the same as cxcywh, as shares",
    VOC: "first and last column and row, counted from 1: pixel 1 to 1 is one pixel wide",
}


def corners(values: Floats, form: str, size: tuple[int, int]) -> Floats:
    """Boxes of a form as left, top, right, bottom in pixels.

    Args:
        values: [M, 4].
        form: one of `FORMS`.
        size: width and height of the image.

    >>> corners(np.array([[0.5, 0.5, 0.5, 1.0]]), "cxcywhn", (40, 20)).tolist()
    [[10.0, 0.0, 30.0, 20.0]]
    >>> corners(np.array([[1.0, 1.0, 1.0, 3.0]]), "voc", (40, 20)).tolist()
    [[0.0, 0.0, 1.0, 3.0]]
    """
    width, height = size
    name = form
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is left out later
        if form.endswith(SHARES):
            values, name = values * np.array([width, height, width, height]), form[: -len(SHARES)]
        if name == XYXY:
            return values
        if name == VOC:
            moved: Floats = values - np.array([1.0, 1.0, 0.0, 0.0])
            return moved
        first, sides = values[:, :2], values[:, 2:]
        if name == CXCYWH:
            first = first - sides / 2
        return np.concatenate([first, first + sides], 1)


def four_numbers(given: Sequence[object], where: str) -> Floats:
    """Boxes as float64 [M, 4]. Raises DataError where one is no four numbers.

    >>> four_numbers([[1, 2, 3, 4]], "a.png").tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """
    try:
        values = np.array(list(given), dtype=float)
    except (TypeError, ValueError, OverflowError):
        values = np.zeros((1, 1))
    if len(given) and values.shape != (len(given), 4):
        raise DataError(f"{where}: a box is four numbers, and one of these is not: {given[:3]}")
    shaped: Floats = values.reshape(-1, 4)
    return shaped
