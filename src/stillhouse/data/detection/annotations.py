"""What is annotated of one image, and the check through which all annotations pass."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stillhouse.errors import DataError

Floats = npt.NDArray[np.float64]
SLACK = 1.0
"""Pixels that a box may reach out of its image: whole pixels are counted from 0 or from 1."""


class Encoded(Protocol):
    """An encoded image: a file (`pathlib.Path`), or a row of a table."""

    def read_bytes(self) -> bytes:
        """All of it."""
        ...


@dataclass(frozen=True, eq=False)
class Annotated:
    """An image and its boxes.

    Args:
        image: its file, or what gives its bytes.
        name: how messages call it.
        size: width and height, as its pixels say.
        boxes: left, top, right, bottom in pixels, float64 [M, 4].
        classes: of each box, by name or number, as the source has it.
        crowd: of each box, whether it is a region of many objects, or marked as difficult.
        area: of each box, as annotated; nan where it is not.
    """

    image: Encoded
    name: str
    size: tuple[int, int]
    boxes: Floats
    classes: tuple[str, ...]
    crowd: npt.NDArray[np.bool_]
    area: Floats


@dataclass(frozen=True)
class Found:
    """What annotations of some format say, before they are checked.

    Args:
        parts: the images of each split.
        classes: the names of the classes, in their order.
        notes: what was left out, or how the format was understood, for people.
    """

    parts: Mapping[str, Sequence[Annotated]]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """Annotations of which each box can be learnt or judged, and what was left out or moved."""

    parts: Mapping[str, Sequence[Annotated]]
    notes: tuple[str, ...]


def checked(parts: Mapping[str, Sequence[Annotated]], classes: Sequence[str]) -> Checked:
    """Leave out what is no box and cut what reaches out of its image, and count both.

    Raises:
        DataError: a box of a class that is not declared, an image twice, or no boxes at all.

    >>> one = Annotated("a.png", "a.png", (10, 10), np.array([[2.0, 2, 2, 5], [5, 5, 14, 9]]),
    ...                 ("cell", "cell"), np.zeros(2, dtype=bool), np.full(2, np.nan))
    >>> found = checked({"train": [one]}, ["cell"])
    >>> found.parts["train"][0].boxes.tolist(), found.notes[0]
    ([[5.0, 5.0, 10.0, 9.0]], '1 box without width or height was left out, such as one of a.png')
    """
    seen: dict[str, str] = {}
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    kept: dict[str, list[Annotated]] = {}
    for split, images in parts.items():
        for one in images:
            key = str(one.image) if isinstance(one.image, Path) else f"{split}/{one.name}"
            if key in seen:
                where = "twice" if seen[key] == split else f"in {seen[key]} and in {split}"
                raise DataError(f"image '{one.name}' is annotated {where}; keep one of them")
            seen[key] = split
            kept.setdefault(split, []).append(_kept(one, classes, counts, first))
    left = [_told(what, count, first[what]) for what, count in sorted(counts.items())]
    if not any(len(one.boxes) for images in kept.values() for one in images):
        why = f": {'; '.join(left)}" if left else ""
        raise DataError(f"there is not one box to learn in these annotations{why}")
    empty = sum(not len(one.boxes) for images in kept.values() for one in images)
    notes = left
    if empty:
        said = "images without boxes: kept, as negatives"
        alone = "image without boxes: kept, as a negative"
        notes.append(f"{empty:,} {said if empty > 1 else alone}")
    return Checked(kept, tuple(notes))


_WORDS = {
    "crowd": "kept for the metric, which ignores what is found there; not learnt",
    "empty": "left out",
    "finite": "left out",
    "outside": "left out",
    "reaching": "cut at the border",
}
_KINDS = {
    "crowd": "marked as a crowd or as difficult",
    "empty": "without width or height",
    "finite": "with nan or inf",
    "outside": "wholly outside the image",
    "reaching": "reaching out of the image",
}


def _told(what: str, count: int, where: str) -> str:
    many = "boxes" if count > 1 else "box"
    was = "were" if count > 1 else "was"
    return f"{count:,} {many} {_KINDS[what]} {was} {_WORDS[what]}, such as one of {where}"


def _kept(
    one: Annotated, classes: Sequence[str], counts: Counter[str], first: dict[str, str]
) -> Annotated:
    unknown = sorted(set(one.classes) - set(classes))
    if unknown:
        raise DataError(
            f"image '{one.name}' has a box of class '{unknown[0]}', which is not declared; there "
            f"is: {', '.join(classes[:8])}"
        )

    def count(what: str, bad: Any) -> None:
        if bad.any():
            counts[what] += int(bad.sum())
            first.setdefault(what, one.name)

    finite: Any = np.isfinite(one.boxes).all(1)
    boxes = np.where(finite[:, None], one.boxes, 0.0)
    width, height = one.size
    sides = np.array([width, height, width, height], dtype=float)
    full = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    within = (boxes[:, :2] < sides[:2]).all(1) & (boxes[:, 2:] > 0).all(1)
    reaching = ((boxes < -SLACK) | (boxes > sides + SLACK)).any(1)
    count("finite", ~finite)
    count("empty", finite & ~full)
    count("outside", finite & full & ~within)
    good: npt.NDArray[np.bool_] = np.logical_and.reduce([finite, full, within])
    count("reaching", good & reaching)
    count("crowd", good & one.crowd)
    boxes = boxes.clip(0, sides)[good]
    area = np.where(np.isnan(one.area[good]), (boxes[:, 2:] - boxes[:, :2]).prod(1), one.area[good])
    names = tuple(name for name, keep in zip(one.classes, good, strict=True) if keep)
    return replace(one, boxes=boxes, classes=names, crowd=one.crowd[good], area=area)
