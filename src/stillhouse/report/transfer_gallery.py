"""The gallery of a transfer set: pictures inside the page, a row for each class."""

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.records.gallery import Gallery, Impression
from stillhouse.records.metric import MINUS

if TYPE_CHECKING:
    from torch import Tensor

QUALITY = 65
"""Of a picture in colour, of 100: without loss, noise would be a third of the page."""


@dataclass(frozen=True)
class GalleryPair:
    """An impression and the training image nearest to it; pictures as data: addresses."""

    picture: str
    about: str
    confidence: str
    nearest: str = ""
    label: str = ""
    likeness: str = ""


@dataclass(frozen=True)
class Row:
    """One class, and how many images of the set the teacher gives it."""

    name: str
    images: int
    shown: tuple[GalleryPair, ...]


def gallery_rows(gallery: Gallery | None) -> tuple[Row, ...]:
    """Return a row for each class that is shown, the most confident image first."""
    if gallery is None:
        return ()
    facts = gallery.facts
    found: dict[int, list[GalleryPair]] = {number: [] for number in facts.shown}
    for place, one in enumerate(facts.impressions):
        found.setdefault(one.given, []).append(_shown(gallery, place, one))
    return tuple(
        Row(facts.classes[number], facts.balance.given[number], tuple(shown))
        for number, shown in found.items()
    )


def _shown(gallery: Gallery, place: int, one: Impression) -> GalleryPair:
    names = gallery.facts.classes
    about = f"image {one.row}: {names[one.given]}"
    if one.asked is not None and one.asked != one.given:
        about += f", asked for {names[one.asked]}"
    picture, confidence = picture_address(gallery.impression[place]), f"{one.confidence:.2f}"
    if gallery.nearest is None or one.label is None or one.likeness is None:
        return GalleryPair(picture, about, confidence)
    return GalleryPair(
        picture,
        about,
        confidence,
        nearest=picture_address(gallery.nearest[place]),
        label=names[one.label],
        likeness=f"{one.likeness:.2f}".replace("-", MINUS),
    )


def picture_address(pixels: "Tensor") -> str:
    """A picture inside a ``data:`` address: grey as a PNG, bit for bit, colour as a lossy WebP.

    Shapes:
        pixels: [1 or 3, h, w] uint8.
    """
    from PIL import Image

    array = pixels.permute(1, 2, 0).contiguous().numpy()
    grey, held = array.shape[2] == 1, io.BytesIO()
    if grey:
        Image.fromarray(array[:, :, 0]).save(held, "PNG", optimize=True)
    else:
        Image.fromarray(array).save(held, "WEBP", quality=QUALITY, method=6)
    content = base64.b64encode(held.getvalue()).decode("ascii")
    return f"data:image/{'png' if grey else 'webp'};base64,{content}"
