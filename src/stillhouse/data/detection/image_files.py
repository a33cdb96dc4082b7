"""The image files of annotations: where they are, how large they are, and which nobody named."""

import os
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from stillhouse.data.detection.annotations import Annotated, Encoded
from stillhouse.data.sources.files import formats, is_hidden, readable
from stillhouse.data.sources.labelled_splits import natural
from stillhouse.errors import DataError

ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""The EXIF tag, and at which of its values sides change places."""


def size_of(image: Encoded, name: str) -> tuple[int, int]:
    """Width and height as it is shown, turned as its EXIF data say. Raises DataError."""
    try:
        held = image if isinstance(image, Path) else BytesIO(image.read_bytes())
        with Image.open(held, formats=formats()) as opened:
            turned = opened.getexif().get(ORIENTATION, 1) in TURNED
            return opened.size[::-1] if turned else opened.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"'{name}' cannot be opened as an image: {error}") from error


def named_file(name: str, places: Sequence[Path], by: Path) -> Path:
    """The file of an image in the first folder that has it. Raises DataError where none has."""
    for place in places:
        if os.path.isfile(place / name):  # a name that no file can have is none, and no error
            return place / name
    raise DataError(f"'{by}' names the image '{name}', and there is no file {places[0] / name}")


def images_in(folder: Path) -> list[Path]:
    """The image files that lie in a folder, not below it, in natural order."""
    known = frozenset(readable())
    found = (
        each
        for each in folder.iterdir()
        if each.suffix.lower() in known and not is_hidden(each.name) and each.is_file()
    )
    return sorted(found, key=lambda each: natural(each.name))


def by_stem(images: Iterable[Path]) -> dict[str, Path]:
    """Images by their name without the suffix. Raises DataError where two have one."""
    found: dict[str, Path] = {}
    for image in images:
        if found.get(image.stem, image) != image:
            raise DataError(
                f"'{image}' and '{found[image.stem].name}' have one name up to the suffix, and so "
                "one file of annotations; rename one of them"
            )
        found[image.stem] = image
    return found


def unnamed(rows: Iterable[Annotated]) -> str | None:
    """What is said of images that lie beside those that are read, and that nobody names."""
    read = {row.image for row in rows if isinstance(row.image, Path)}
    left = [each for place in {one.parent for one in read} for each in images_in(place)
            if each not in read]  # fmt: skip
    if not left:
        return None
    first = min(left, key=lambda each: natural(each.name)).name
    what = "images that no annotation or list names were"
    one = "image that no annotation or list names was"
    return f"{len(left):,} {what if len(left) > 1 else one} left out, such as {first}"
