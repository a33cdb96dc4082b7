"""Bring images of any sizes to one square size, in memory."""

import numpy as np
import torch
from PIL import Image

from stillhouse.data.samples import image_to_tensor
from stillhouse.data.tables import ImageTable, Table
from stillhouse.errors import DataError


def resize_table(table: Table, size: int) -> ImageTable:
    """Each image scaled so that its shorter side is ``size``, then cut to the centre square.

    Bilinear with antialiasing (Pillow), the usual preparation for evaluation at a resolution.

    >>> table = ImageTable(torch.zeros(2, 4, 6, 3, dtype=torch.uint8), torch.tensor([0, 1]))
    >>> resize_table(table, 8).images.shape
    torch.Size([2, 8, 8, 3])
    """
    images = [_square(table, row, size) for row in range(len(table))]
    shapes = sorted({tuple(image.shape) for image in images})
    if len(shapes) > 1:
        raise DataError(f"images differ in channels after resizing: {shapes}; make them all RGB")
    return ImageTable(torch.stack(images), table.labels)


def _square(table: Table, row: int, size: int) -> torch.Tensor:
    if isinstance(table, ImageTable):
        pixels = table.images[row]
    else:
        pixels = image_to_tensor(table.read(row))
    if pixels.dtype != torch.uint8:
        raise DataError("data.size resizes pixels (uint8); this dataset gives floats: resize there")
    array = pixels.numpy()
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    width, height = image.size
    scale = size / min(width, height)
    wide, high = max(round(width * scale), size), max(round(height * scale), size)
    image = image.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = (wide - size) // 2, (high - size) // 2
    return image_to_tensor(
        np.asarray(image.crop((left, top, left + size, top + size)))
    ).contiguous()
