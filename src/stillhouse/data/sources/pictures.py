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


class Encoded(Protocol):
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

    def __init__(self, encoded: Encoded, labels: Tensor, mode: str) -> None:
        self.encoded, self.labels, self.mode = encoded, labels, mode

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, row: int) -> tuple["Image", int]:
        return decode(self.encoded, row, self.mode), int(self.labels[row])

    def fingerprint(self) -> str:
        """Another text whenever an image, its order or the mode changed."""
        return f"{self.mode} {self.encoded.fingerprint()}"


def picture_tables(
    parts: Mapping[str, Encoded], labels: Mapping[str, Tensor]
) -> dict[str, Table]:
    """Decode the images of all splits: in memory if all have one size, on each read otherwise.

    Grey images (with or without alpha) stay grey where all are grey; otherwise all become RGB;
    alpha is dropped. Images are turned upright by their EXIF orientation. More than 2 GiB of
    decoded images are left encoded, too; a damaged image is then found when it is read.

    Raises:
        DataError: an image that cannot be read, or with more than 8 bits per channel.
    """
    first = parts["train"]
    size, mode = _look(first, 0)
    try:
        try:
            arrays = {split: _decode_all(part, size, mode) for split, part in parts.items()}
        except _Colour:
            arrays = {split: _decode_all(part, size, "RGB") for split, part in parts.items()}
    except _Lazy:
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


def decode(encoded: Encoded, row: int, mode: str) -> "Image":
    """Read one image in mode L or RGB.

    Raises:
        DataError: the image is damaged; names the file and row.
    """
    picture = _open(encoded, row)
    try:
        if mode == "RGB" and "transparency" in picture.info:
            picture = picture.convert("RGBA")  # a palette with alpha warns when made RGB directly
        return picture.convert(mode)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise what they like
        raise _damaged(encoded.where(row), error) from error


class _Lazy(Exception):  # noqa: N818  (an event, not an error)
    """The images cannot be one array."""


class _Colour(Exception):  # noqa: N818  (an event, not an error)
    """There is colour after the first, grey, image."""


def _decode_all(encoded: Encoded, size: tuple[int, int], mode: str) -> np.ndarray:
    (width, height), channels = size, 1 if mode == "L" else 3
    shape = (len(encoded), height, width, channels)
    if int(np.prod(shape, dtype=np.int64)) > IN_MEMORY:
        raise _Lazy
    images = np.empty(shape, dtype=np.uint8)

    def block(start: int) -> None:
        for row in range(start, min(start + BLOCK, len(encoded))):
            picture = decode(encoded, row, mode)
            if picture.size != size:
                raise _Lazy
            images[row] = np.asarray(picture).reshape(shape[1:])

    return images
