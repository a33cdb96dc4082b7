"""Pictures: encoded images (PNG, JPEG, WebP, ...) become tables, decoded at once or row by row."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.blocks import Blocks
from stillhouse.data.pixels import GREY, mode_of, plain_picture
from stillhouse.data.sources.files import formats
from stillhouse.data.tables import IN_MEMORY, ImageTable, SampleTable, Table
from stillhouse.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION, TURNED = 0x0112, 5  # the EXIF tag, and from which value on sides change places
BLOCK = 256  # images that one thread decodes in one go
THREADED_AREA = 96 * 96  # pixels; below, threads wait for the interpreter longer than they decode


class EncodedImages(Protocol):
    """Encoded images by row."""

    def __len__(self) -> int: ...

    def open(self, row: int) -> BinaryIO:
        """Open the bytes of one image, of which a header may be enough."""
        ...

    def where(self, row: int) -> str:
        """Name the file, and the row in it, for messages."""
        ...

    def fingerprint(self) -> str:
        """Another text whenever an image or its order changed."""
        ...


class SeenImages(EncodedImages, Protocol):
    """Encoded images whose headers were read before."""

    def seen(self, row: int) -> tuple[int, int, bool]:
        """Width, height, and whether it is grey."""
        ...


class DecodedOnRead:
    """A map-style dataset over encoded images: gives `(PIL image, label)`, decoded on each read.

    The label is a number; an empty list where rows have none. ``blocks`` says of each row which
    archive it is in, where so many of them (``together``) are to be shuffled at once.

    ``differ`` names two images that differ in size; None where all have one.
    """

    decoded_here = True

    def __init__(
        self,
        encoded: EncodedImages,
        labels: Tensor,
        mode: str,
        differ: str | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        self.encoded, self.labels, self.mode, self.differ = encoded, labels, mode, differ
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, row: int) -> tuple["Image", Any]:
        picture = _open(self.encoded, row)
        return _converted(picture, self.mode, self.encoded, row), self.labels[row].tolist()

    def fingerprint(self) -> str:
        """Another text whenever an image, its order or the mode changed."""
        return f"{self.mode} {self.encoded.fingerprint()}"


def picture_tables(
    parts: Mapping[str, EncodedImages],
    labels: Mapping[str, Tensor],
    blocks: Mapping[str, Blocks] | None = None,
) -> dict[str, Table]:
    """Decode the images of all splits: in memory if all have one size, on each read otherwise.

    Grey images (with or without alpha) stay grey where all are grey; otherwise all become RGB;
    alpha is dropped. Images are turned upright by their EXIF orientation. More than 2 GiB of
    decoded images are left encoded, too; a damaged image is then found when it is read.

    Raises:
        DataError: an image that cannot be read, or with more than 8 bits per channel.
    """
    width, height, grey = _seen(parts["train"], 0)
    size, channels = (width, height), 1 if grey else 3
    images = sum(len(part) for part in parts.values())
    try:
        if images * width * height * channels > IN_MEMORY:
            raise _NotOneArray
        try:
            arrays = {split: _decode_all(part, size, channels) for split, part in parts.items()}
        except _Colour:
            arrays = {split: _decode_all(part, size, 3) for split, part in parts.items()}
    except _NotOneArray:
        mode, differ = _survey(parts)
        return {
            split: SampleTable(
                DecodedOnRead(part, labels[split], mode, differ, (blocks or {}).get(split)),
                labels[split],
                torch.arange(len(part)),
            )
            for split, part in parts.items()
        }
    return {
        split: ImageTable(torch.from_numpy(array), labels[split]) for split, array in arrays.items()
    }


class _NotOneArray(Exception):  # noqa: N818  (an event, not an error)
    """The images differ in size, or are too many to be kept decoded."""


class _Colour(Exception):  # noqa: N818  (an event, not an error)
    """There is colour behind a first image that is grey."""


def _decode_all(encoded: EncodedImages, size: tuple[int, int], channels: int) -> np.ndarray:
    width, height = size
    images = np.empty((len(encoded), height, width, channels), dtype=np.uint8)
    mode = "L" if channels == 1 else "RGB"

    def decode(start: int) -> None:
        for row in range(start, min(start + BLOCK, len(encoded))):
            picture = _open(encoded, row)
            if picture.size != size:
                raise _NotOneArray
            if channels == 1 and picture.mode not in GREY:
                raise _Colour
            pixels = np.asarray(_converted(picture, mode, encoded, row))
            images[row] = pixels.reshape(height, width, channels)

    starts = range(0, len(encoded), BLOCK)
    if width * height < THREADED_AREA:
        for start in starts:
            decode(start)
        return images
    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
        for _ in pool.map(decode, starts):  # in order: the first damaged row is the one named
            pass
    return images


def _survey(parts: Mapping[str, EncodedImages]) -> tuple[str, str | None]:
    """Read every header: RGB as soon as one image has colour; and two that differ in size."""
    mode, differ = "L", None
    first: tuple[str, tuple[int, int]] | None = None
    for part in parts.values():
        for row in range(len(part)):
            width, height, grey = _seen(part, row)
            size = width, height
            if not grey:
                mode = "RGB"
            if first is None:
                first = part.where(row), size
            elif differ is None and size != first[1]:
                wide, high = first[1]
                differ = f"{first[0]} is {wide} x {high}, {part.where(row)} {size[0]} x {size[1]}"
    return mode, differ


def _seen(part: EncodedImages, row: int) -> tuple[int, int, bool]:
    if hasattr(part, "seen"):
        return cast(SeenImages, part).seen(row)
    with part.open(row) as data:
        return seen_of(data, part.where(row))


def seen_of(data: BinaryIO, where: str) -> tuple[int, int, bool]:
    """Width and height of an upright image, and whether it is grey, by its header.

    Raises:
        DataError: it is damaged, or its mode is of more than 8 bits.
    """
    with _reading(where):
        picture = _header(data)
        width, height = picture.size
        if "exif" in picture.info and picture.getexif().get(ORIENTATION, 1) >= TURNED:
            width, height = height, width
        return width, height, mode_of(picture, where) == "L"


def _open(encoded: EncodedImages, row: int) -> "Image":
    """An image, decoded and upright."""
    with encoded.open(row) as data:
        return picture_of(data, encoded.where(row))


def picture_of(data: BinaryIO, where: str) -> "Image":
    """An image of encoded bytes, decoded and upright, in one of the modes that are read.

    Raises:
        DataError: it cannot be decoded, or its mode is of more than 8 bits.
    """
    from PIL import ImageOps

    with _reading(where):
        picture = _header(data)
        mode_of(picture, where)
        picture.load()
        if "exif" in picture.info:
            picture = ImageOps.exif_transpose(picture)
        return picture


def _header(data: BinaryIO) -> "Image":
    from PIL import Image

    return Image.open(data, formats=formats())


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Within the block whatever a decoder raises on damaged bytes is a sentence."""
    try:
        yield
    except (MemoryError, DataError):
        raise
    except Exception as error:  # decoders raise what they like
        raise _damaged(where, error) from error


def _converted(picture: "Image", mode: str, encoded: EncodedImages, row: int) -> "Image":
    with _reading(encoded.where(row)):
        converted: Image = plain_picture(picture, encoded.where(row), mode)
    return converted


def _damaged(where: str, error: Exception) -> DataError:
    return DataError(
        f"{where}: the image cannot be read ({_first_line(error)}); it is damaged, "
        f"cut short, or in none of the formats that Pillow decodes here. Replace it or leave it out"
    )


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0].split(" <_io", 1)[0]  # not the address of our buffer
