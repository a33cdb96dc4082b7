"""The similarity of classes: a table of shaded numbers, or of many classes a picture."""

import base64
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.records.gallery import Gallery
from stillhouse.records.metric import MINUS
from stillhouse.report.likeness import few
from stillhouse.report.shades import shade

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SimilarityCell:
    """A similarity as text, what it is of, and its shade."""

    text: str
    about: str
    shade: int


@dataclass(frozen=True)
class Similarity:
    """Rows are the classes that are asked for; ``picture`` instead of rows where they are many.

    Args:
        names: of the classes.
        rows: a class and its cells.
        picture: a ``data:`` address of a PNG, a pixel for each pair, the opacity its similarity.
        told: the names as JSON, for the script that says what the pointer is on.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[SimilarityCell, ...]], ...] = ()
    picture: str = ""
    told: str = "[]"


def similarity(gallery: Gallery | None) -> Similarity | None:
    """The similarity that a set's targets were drawn from; None where there is none."""
    if gallery is None or gallery.similarity is None:
        return None
    names = tuple(gallery.facts.classes)
    if not few(names):
        return Similarity(names, picture=_picture(gallery.similarity), told=json.dumps(names))
    rows = zip(names, gallery.similarity.tolist(), strict=True)
    return Similarity(names, rows=tuple((name, _cells(name, names, row)) for name, row in rows))


def _cells(name: str, names: tuple[str, ...], row: list[float]) -> tuple[SimilarityCell, ...]:
    return tuple(
        SimilarityCell(_said(value), f"{name} with {other}: {_said(value)}", shade(value))
        for other, value in zip(names, row, strict=True)
    )


def _said(value: float) -> str:
    return f"{value:.2f}".replace("-", MINUS)


def _picture(similarity: "Tensor") -> str:
    """A picture of shadows.

    Shapes:
        similarity: [K, K], between 0 and 1.
    """
    from PIL import Image

    opacity = Image.fromarray((255 * similarity.clamp(0, 1)).round().byte().numpy())
    held = io.BytesIO()
    black = Image.new("L", opacity.size, 0)
    Image.merge("LA", (black, opacity)).save(held, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")
