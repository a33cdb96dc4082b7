"""Training images from a source, brought to the form that a teacher takes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.load import Splits, load
from stillhouse.data.tables import FloatTable, ImageTable
from stillhouse.errors import DataError
from stillhouse.synthesis.portrait.gallery import AT_ONCE


def training_images(
    source: str | Path | Splits | Any, image_shape: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Training images of a source, piece by piece, in [0, 1] and of the teacher's size.

    Channels are averaged to one or repeated as it takes; the size is reached by bilinear resizing
    with antialiasing. They are not normalised: a comparison standardises each image anyway.

    Args:
        source: what `data.load` takes.
        image_shape: channels, height, width.

    Yields:
        images [n, C, H, W] float32 and labels [n].

    Raises:
        DataError: the source cannot be read, or its images are not of one size in memory.

    >>> images, labels = next(training_images("digits", (1, 16, 16)))
    >>> images.shape[1:], images.min().item(), len(images) == len(labels)
    (torch.Size([1, 16, 16]), 0.0, True)
    """
    splits = load(source, validation=0, test=0)
    table = splits.train
    if not isinstance(table, ImageTable):
        raise DataError(
            f"'{splits.name}' has images of several sizes; the nearest ones are looked for among "
            "images of one size in memory: give such a source"
        )
    return _pieces(table, image_shape)


def _pieces(table: ImageTable, image_shape: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    channels, height, width = image_shape
    scale = 1.0 if isinstance(table, FloatTable) else 255.0
    for pixels, labels in zip(
        table.images.split(AT_ONCE), table.labels.split(AT_ONCE), strict=True
    ):
        images = pixels.permute(0, 3, 1, 2).float() / scale
        if images.shape[1] != channels:
            images = images.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        if tuple(images.shape[2:]) != (height, width):
            images = F.interpolate(images, (height, width), mode="bilinear", antialias=True)
        yield images.contiguous(), labels
