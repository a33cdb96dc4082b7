"""Operations on images: turned, resized and shifted; blurred; brought to one size."""

import math
import os
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.pixels import CHANNELS, to_pixels
from stillhouse.data.tables import (
    IN_MEMORY,
    Images,
    ImageTable,
    Samples,
    SampleTable,
    Table,
    fingerprint_of,
    images_of,
)
from stillhouse.data.views import uniform, uniforms
from stillhouse.errors import DataError


def affine(images: Tensor, *, angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Turn, resize and shift images about their middle, bilinear; what comes from outside is 0.

    Args:
        images: float [B, C, H, W].
        angle: [B] radians, counter-clockwise as seen.
        scale: [B]; 2.0 shows everything twice as large.
        shift: [B, 2] pixels to the right and down.

    Shapes:
        images: [B, C, H, W] to the same.

    >>> dot = torch.zeros(1, 1, 3, 3)
    >>> dot[0, 0, 1, 2] = 1.0  # right of the middle
    >>> quarter = torch.tensor([math.pi / 2])
    >>> up = affine(dot, angle=quarter, scale=torch.ones(1), shift=torch.zeros(1, 2))
    >>> up[0, 0].round().int().tolist()
    [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    """
    height, width = images.shape[-2:]
    across, down = (
        torch.arange(side, device=images.device) - (side - 1) / 2 for side in (width, height)
    )
    # Where each pixel of the result comes from: the inverse of turn, resize, shift.
    x = across[None, None, :] - shift[:, 0, None, None]
    y = down[None, :, None] - shift[:, 1, None, None]
    cosine, sine = (part[:, None, None] for part in (angle.cos() / scale, angle.sin() / scale))
    from_x, from_y = cosine * x - sine * y, sine * x + cosine * y
    grid = torch.stack([2 * from_x / width, 2 * from_y / height], -1)
    return F.grid_sample(images, grid.to(images.dtype), mode="bilinear", align_corners=False)


def random_affine(
    images: Tensor,
    *,
    seed: int,
    index: Tensor,
    view: int,
    draws: tuple[int, int, int, int],
    rotate: float = 0.0,
    shift: float = 0.0,
    scale: float = 1.0,
) -> Tensor:
    """The affine view of each image, a pure function of (seed, index, view).

    Args:
        images: float [B, C, H, W].
        seed, index, view: see `views.uniform`; index is [B].
        draws: numbers of the draws for angle, scale, shift to the right, shift down.
        rotate: largest angle to either side, degrees.
        shift: largest shift to each side, pixels.
        scale: largest factor; drawn between ``1 / scale`` and ``scale``, uniform in its logarithm.
    """
    drawn = (2 * uniforms(seed, index, view, draws) - 1).unbind()
    return affine(
        images,
        angle=drawn[0] * math.radians(rotate),
        scale=torch.exp(drawn[1] * math.log(scale)),
        shift=torch.stack([drawn[2], drawn[3]], 1) * shift,
    )


MOST_SCALED = 2**27
"""Pixels of a scaled image before its middle is cut out; a line one pixel wide that has to cover a
square would take gigabytes."""
REACH = 2.5
"""Standard deviations after which the Gaussian is cut."""
LEAST = 1e-2
"""Pixels; a narrower Gaussian is one pixel."""


def blur(images: Tensor, sigma: Tensor, *, most: float) -> Tensor:
    """Blur images by a Gaussian, row by row and column by column; edges go on as they end.

    ``w(d) = exp(-d^2 / (2 sigma^2)) / sum``, for d up to 2.5 times the widest sigma.

    Args:
        images: float [B, C, H, W].
        sigma: [B] pixels.
        most: the widest sigma that there may be: how far the Gaussians reach.

    Shapes:
        images: [B, C, H, W] to the same.

    >>> dot = torch.zeros(1, 1, 5, 5)
    >>> dot[0, 0, 2, 2] = 1.0
    >>> blurred = blur(dot, torch.tensor([0.5]), most=0.5)
    >>> [round(value, 2) for value in blurred[0, 0, 2].tolist()]
    [0.0, 0.08, 0.62, 0.08, 0.0]
    """
    count, channels, height, width = images.shape
    reach = min(math.ceil(REACH * most), height - 1, width - 1)
    steps = torch.arange(-reach, reach + 1, device=images.device)
    weights = torch.exp(-(steps**2) / (2 * sigma.clamp_min(LEAST)[:, None] ** 2))
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    planes = images.reshape(1, count * channels, height, width)
    planes = F.pad(planes, (reach, reach, reach, reach), mode="replicate")
    for kernel in (weights[:, None, None, :], weights[:, None, :, None]):
        planes = F.conv2d(planes, kernel.to(images.dtype), groups=count * channels)
    return planes.reshape(count, channels, height, width)


def random_blur(
    images: Tensor, *, seed: int, index: Tensor, view: int, draw: int, most: float
) -> Tensor:
    """Blur each image by a sigma in 0..most, a pure function of (seed, index, view)."""
    return blur(images, uniform(seed, index, view, draw) * most, most=most)


def resize_table(table: Table, size: int) -> Table:
    """Each image scaled so that its shorter side is ``size``, then cut to the centre square.

    Bilinear with antialiasing (Pillow), the usual preparation for evaluation at a resolution. What
    is then more than memory should hold (2 GiB) is resized whenever it is read.

    >>> table = ImageTable(torch.zeros(2, 4, 6, 3, dtype=torch.uint8), torch.tensor([0, 1]))
    >>> resize_table(table, 8).images.shape
    torch.Size([2, 8, 8, 3])
    """
    table = images_of(table, "size (data.size)")
    if not len(table):
        return table
    if isinstance(table, SampleTable):
        values = _square(table.read(0), size, table.where(0)).numel()
        if len(table) * values > IN_MEMORY:
            return SampleTable(Resized(table.dataset, size), table.labels, table.rows)
    _check_room(len(table) * size * size, size)
    images = [_square(_image_of(table, row), size, f"row {row}") for row in range(len(table))]
    shapes = sorted({tuple(image.shape) for image in images})
    if len(shapes) > 1:
        raise DataError(f"images differ in channels after resizing: {shapes}; make them all RGB")
    return ImageTable(torch.stack(images), table.labels)


def _check_room(pixels: int, size: int) -> None:
    """Resized images are held in memory: find out before hours of resizing whether it has room."""
    room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    if room and 2 * pixels > room:  # of one channel; the list and the table made of it
        raise DataError(
            f"data.size {size}: the images would take {pixels / 2**30:.0f} GiB a channel, and this "
            f"machine has {room / 2**30:.0f} GiB of memory; give a smaller size"
        )


class Resized:
    """A map-style dataset whose images are brought to one size as they are read."""

    decoded_here = True

    def __init__(self, samples: Samples, size: int) -> None:
        self.samples, self.size = samples, size
        self.blocks = getattr(samples, "blocks", None)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        image, label = self.samples[row]
        return _square(image, self.size, f"row {row}").numpy(), label

    def fingerprint(self) -> str:
        """Another text whenever the images of the dataset or the size changed."""
        return f"{self.size} {fingerprint_of(self.samples, [0, len(self) - 1])}"


def _image_of(table: Images, row: int) -> Any:
    return table.images[row].numpy() if isinstance(table, ImageTable) else table.read(row)


def _square(image: Any, size: int, where: str) -> Tensor:
    """[size, size, C] uint8."""
    return cut_to(image, (size, size), where)


def cut_to(image: Any, size: tuple[int, int], where: str) -> Tensor:
    """An image scaled so that it just covers a height and a width, and its middle of that size.

    Bilinear with antialiasing (Pillow).

    Shapes:
        image: see `pixels.to_pixels`; returns uint8 [H, W, C].

    Raises:
        DataError: it holds floats, or has neither one nor three channels.

    >>> cut_to(torch.full((1, 2, 4), 7, dtype=torch.uint8), (3, 2), "row 0").shape
    torch.Size([3, 2, 1])
    """
    from PIL import Image

    pixels = to_pixels(image, where)
    if pixels.dtype != torch.uint8:
        raise DataError("data.size resizes pixels (uint8); this dataset gives floats: resize there")
    if pixels.shape[0] not in CHANNELS:
        raise DataError(
            f"data.size resizes grey and RGB images; {where} has {pixels.shape[0]} channels: "
            "resize in the dataset"
        )
    array = pixels.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array[..., 0] if array.shape[2] == 1 else np.ascontiguousarray(array))
    (width, height), (tall, across) = picture.size, size
    scale = max(across / width, tall / height)
    wide, high = max(round(width * scale), across), max(round(height * scale), tall)
    if wide * high > MOST_SCALED:
        raise DataError(
            f"{where} is {width} x {height}; scaled to cover {across} x {tall} it would be "
            f"{wide} x {high}; cut it, or leave it out"
        )
    picture = picture.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = (wide - across) // 2, (high - tall) // 2
    cut = picture.crop((left, top, left + across, top + tall))
    return to_pixels(cut).permute(1, 2, 0).contiguous()
