"""Boxes of images resized to one size, with antialiasing: the two passes of Pillow, bit for bit.

Pillow resizes one image at a time; this is the same for a whole batch of which each image has a box
of its own. All is in whole numbers, so that the bits are the same on any device, in any order and
batch. Columns come first; newer Pillows may begin with the rows of an upright box, which changes a
few bytes by 1.
"""

import math

import torch
from torch import Tensor

BITS = 22
"""A weight is a whole number of 2**-22, as in Pillow for images of bytes."""

Window = tuple[int, int]
"""First and last + 1 of the places of a side that are wanted."""


def cut_and_resized(
    images: Tensor, boxes: Tensor, size: tuple[int, int], window: tuple[Window, Window]
) -> Tensor:
    """The box of each image, resized to one size; only a window of the result is computed.

    The same as ``image.crop(box)`` resized by Pillow with BILINEAR, first in width, then in height:
    a triangle as wide as the larger of the two kinds of pixels, rounded to bytes by each pass.

    Args:
        size: height and width to which each box is resized.
        window: of rows and of columns of that.

    Shapes:
        images: uint8 [B, H, W, C]; boxes: int64 [B, 4] (top, left, height, width); returns uint8
            [B, h, w, C].

    >>> image = torch.tensor([0, 80, 160, 240], dtype=torch.uint8).reshape(1, 1, 4, 1)
    >>> whole = torch.tensor([[0, 0, 1, 4]])
    >>> cut_and_resized(image, whole, (1, 2), ((0, 1), (0, 2))).flatten().tolist()
    [57, 183]
    """
    count, height, width, channels = images.shape
    top, left, tall, across = boxes.unbind(1)
    columns = images.transpose(1, 2).reshape(count, width, height * channels)
    columns = _resized_rows(columns, left, across, size[1], window[1])
    rows = columns.view(count, -1, height, channels).transpose(1, 2)
    rows = rows.reshape(count, height, -1)
    made = _resized_rows(rows, top, tall, size[0], window[0])
    return made.view(count, made.shape[1], -1, channels)


def _resized_rows(rows: Tensor, start: Tensor, length: Tensor, size: int, window: Window) -> Tensor:
    """So many rows for those from a start on, of a length of its own for each image.

    Shapes:
        rows: uint8 [B, H, N]; start, length: int64 [B]; returns uint8 [B, h, N].
    """
    count, side, wide = rows.shape
    first, weights = _taps(length, size, window, reach=math.ceil(max(side / size, 1.0)))
    flat = rows.reshape(count * side, wide)
    base = (torch.arange(count, device=rows.device) * side + start)[:, None] + first
    last = (torch.arange(1, count + 1, device=rows.device) * side - 1)[:, None]
    total = torch.full((count, first.shape[1], wide), 1 << (BITS - 1),
                       dtype=torch.int32, device=rows.device)  # fmt: skip
    for tap in range(weights.shape[2]):
        at = torch.minimum(base + tap, last)  # beyond the box the weight is 0
        taken = flat.index_select(0, at.flatten()).view(count, -1, wide)
        total += taken * weights[:, :, tap, None]
    return (total >> BITS).clamp_(0, 255).to(torch.uint8)


def _taps(length: Tensor, size: int, window: Window, *, reach: int) -> tuple[Tensor, Tensor]:
    """Of each place of the window: the first place of the box that it is made of, and the weights.

    Shapes:
        length: int64 [B]; returns int64 [B, h] and int32 [B, h, taps].
    """
    place = torch.arange(*window, device=length.device, dtype=torch.float64) + 0.5
    scale = length[:, None].double() / size
    support = scale.clamp_min(1.0)
    centre = place * scale
    first = (centre - support + 0.5).long().clamp_min(0)
    end = torch.minimum((centre + support + 0.5).long(), length[:, None])
    narrower = 1.0 / support
    weights, total = [], torch.zeros_like(centre)
    for tap in range(2 * reach + 1):
        far = ((first + tap - centre + 0.5) * narrower).abs()
        weight = torch.where(first + tap < end, (1.0 - far).clamp_min(0.0), 0.0)
        weights.append(weight)
        total = total + weight  # one after the other, as Pillow adds them
    whole = torch.stack(weights, 2) / total[:, :, None] * (1 << BITS) + 0.5
    return first, whole.int()
