"""Test images with boxes as the page draws them: a panel for the truth and for each network."""

from dataclasses import dataclass

from stillhouse.records.boxes_shown import TRUTH, BoxGallery, BoxPicture, ShownBox
from stillhouse.report.transfer_gallery import picture_address

SHADES = 7
"""Of `boxes.css`; classes beyond take them again, and are then told by words."""
FEW = 6
"""Boxes of an image beside which their class is written."""
LETTERS = 18
"""Lines of text that are as high as an image."""


@dataclass(frozen=True)
class DrawnBox:
    """A rectangle in pixels of the picture, the words beside it and those on pointing at it."""

    x: float
    y: float
    width: float
    height: float
    shade: int
    text: str
    said: str


@dataclass(frozen=True)
class Panel:
    """The boxes of the truth, or of one network."""

    role: str
    boxes: tuple[DrawnBox, ...]

    @property
    def said(self) -> str:
        """How many boxes it has, in words.

        >>> Panel("student", ()).said
        '0 boxes'
        """
        return "1 box" if len(self.boxes) == 1 else f"{len(self.boxes)} boxes"


@dataclass(frozen=True)
class DrawnPicture:
    """An image and its panels; ``mark`` is the id by which panels share it."""

    name: str
    mark: str
    picture: str
    width: int
    height: int
    letters: int
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class DrawnGallery:
    """All images, under the reason for which they are shown."""

    rule: str
    legend: tuple[tuple[int, str], ...]
    groups: tuple[tuple[str, tuple[DrawnPicture, ...]], ...]


def box_pictures(found: BoxGallery | None) -> DrawnGallery | None:
    """What the page shows of a gallery of boxes; None where there is none."""
    if found is None or not found.pictures:
        return None
    shades = {name: at % SHADES for at, name in enumerate(found.classes)}
    groups: dict[str, list[DrawnPicture]] = {}
    for at, one in enumerate(found.pictures):
        groups.setdefault(one.why, []).append(_drawn(one, f"boxes-{at}", shades))
    known = len(found.classes) <= SHADES
    legend = tuple((shade, name) for name, shade in shades.items()) if known else ()
    return DrawnGallery(
        found.rule, legend, tuple((why, tuple(images)) for why, images in groups.items())
    )


def _drawn(one: BoxPicture, mark: str, shades: dict[str, int]) -> DrawnPicture:
    height, width = one.image.shape[1:]
    panels = []
    for role, boxes in one.boxes.items():
        words = len(boxes) <= FEW or len(shades) > SHADES
        panels.append(Panel(role if role != TRUTH else "annotated",
                            tuple(_box(box, shades, words) for box in boxes)))  # fmt: skip
    return DrawnPicture(
        one.name,
        mark,
        picture_address(one.image),
        width,
        height,
        max(6, height // LETTERS),
        tuple(panels),
    )


def _box(box: ShownBox, shades: dict[str, int], words: bool) -> DrawnBox:
    left, top, right, bottom = box.corners
    sure = "" if box.score is None else f" {box.score:.2f}"
    said = f"{box.name}{sure}"
    return DrawnBox(
        round(left, 2),
        round(top, 2),
        round(right - left, 2),
        round(bottom - top, 2),
        shades.get(box.name, 0),
        said if words else "",
        said,
    )
