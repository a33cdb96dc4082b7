"""Pictures: encoded images (PNG, JPEG, WebP, ...) become tables, decoded at once or row by row."""

import io
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.tables import ImageTable, SampleTable, Table
from stillhouse.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "GIF", "TIFF")  # fewer parsers for foreign bytes
GREY = frozenset({"1", "L", "LA", "La"})
DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
IN_MEMORY = 1 << 31  # bytes of decoded images up to which they are all kept: 2 GiB
BLOCK = 256  # images that one thread decodes in one go
THREADED_AREA = 96 * 96  # pixels; below, threads wait for the interpreter longer than they decode


class EncodedImages(Protocol):
    """Encoded images by row."""

    def __len__(self) -> int: ...

    def read(self, row: int) -> Any:
        """Return the bytes of one image (anything with the buffer protocol)."""
        ...

    def where(self, row: int) -> str:
        """Name the file, and the row in it, for messages."""
        ...

    def fingerprint(self) -> str:
        """Another text whenever an image or its order changed."""
        ...


class DecodedOnRead:
    """A map-style dataset over encoded images: gives `(PIL image, label)`, decoded on each read."""

    def __init__(self, encoded: EncodedImages, labels: Tensor, mode: str) -> None:
        self.encoded, self.labels, self.mode = encoded, labels, mode

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, row: int) -> tuple["Image", int]:
        picture = _open(self.encoded, row)
        return _converted(picture, self.mode, self.encoded, row), int(self.labels[row])

    def fingerprint(self) -> str:
        """Another text whenever an image, its order or the mode changed."""
        return f"{self.mode} {self.encoded.fingerprint()}"


def picture_tables(
    parts: Mapping[str, EncodedImages], labels: Mapping[str, Tensor]
) -> dict[str, Table]:
    """Decode the images of all splits: in memory if all have one size, on each read otherwise.

    Grey images (with or without alpha) stay grey where all are grey; otherwise all become RGB;
    alpha is dropped. Images are turned upright by their EXIF orientation. More than 2 GiB of
    decoded images are left encoded, too; a damaged image is then found when it is read.

    Raises:
        DataError: an image that cannot be read, or with more than 8 bits per channel.
    """
    first = _open(parts["train"], 0)
    channels = 1 if first.mode in GREY else 3
    images = sum(len(part) for part in parts.values())
    try:
        if images * first.width * first.height * channels > IN_MEMORY:
            raise _NotOneArray
        try:
            arrays = {
                split: _decode_all(part, first.size, channels) for split, part in parts.items()
            }
        except _Colour:
            arrays = {split: _decode_all(part, first.size, 3) for split, part in parts.items()}
    except _NotOneArray:
        mode = _mode_of_all(parts)
        return {
            split: SampleTable(
                DecodedOnRead(part, labels[split], mode), labels[split], torch.arange(len(part))
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


def _mode_of_all(parts: Mapping[str, EncodedImages]) -> str:
    """Read every header: RGB as soon as one image has colour."""
    for part in parts.values():
        for row in range(len(part)):
            if _open(part, row).mode not in GREY:
                return "RGB"
    return "L"


def _open(encoded: EncodedImages, row: int) -> "Image":
    """Read the header only, unless the image must be turned."""
    from PIL import Image, ImageOps

    data = encoded.read(row)
    try:
        picture: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if "exif" in picture.info:
            picture = ImageOps.exif_transpose(picture)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise what they like on damaged bytes
        raise _damaged(encoded, row, error) from error
    if picture.mode in DEEP:
        raise DataError(
            f"{encoded.where(row)}: the image has mode {picture.mode}, more than 8 bits per "
            "channel; convert the images to 8 bits (there is no one right way to scale them)"
        )
    return picture


def _converted(picture: "Image", mode: str, encoded: EncodedImages, row: int) -> "Image":
    """Decode; palettes with alpha go by RGBA because the direct way warns."""
    try:
        if mode == "RGB" and "transparency" in picture.info:
            picture = picture.convert("RGBA")
        return picture.convert(mode)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise what they like on damaged bytes
        raise _damaged(encoded, row, error) from error


def _damaged(encoded: EncodedImages, row: int, error: Exception) -> DataError:
    return DataError(
        f"{encoded.where(row)}: the image cannot be read ({_first_line(error)}); it is damaged, "
        f"cut short, or not one of {', '.join(FORMATS)}. Replace it or leave it out"
    )


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0].split(" <_io", 1)[0]  # not the address of our buffer
