"""Random boxes of images: cut out and resized to the whole image, or erased."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stillhouse.data.views import uniform, uniforms

ATTEMPTS = 10
"""How often a box is drawn that does not fit, as in torchvision."""
BOX_DRAWS = 2 * ATTEMPTS + 2
"""Draws of a box: area and ratio of each attempt, then its place."""
ERASED_AREA, ERASED_RATIO = (0.02, 0.33), (0.3, 3.3)
"""What random erasing takes, of the area and width by height, as in torchvision."""


def random_boxes(
    size: tuple[int, int],
    *,
    seed: int,
    index: Tensor,
    view: int,
    draws: Sequence[int],
    area: tuple[float, float],
    ratio: tuple[float, float],
    whole: bool = True,
) -> tuple[Tensor, Tensor]:
    """A random box for each image and whether one fitted, a pure function of (seed, index, view).

    Its area is uniform, its ratio uniform in the logarithm; sides are rounded to whole pixels; the
    first of ten attempts whose sides are 1 to those of the image is taken, at a uniform place.

    Args:
        size: height and width of the images.
        draws: `BOX_DRAWS` numbers of draws.
        area: least and largest, as shares of the image.
        ratio: least and largest width by height.
        whole: a box may be as high or as wide as the image.

    Shapes:
        index: [B]; returns int64 [B, 4] (top, left, height, width) and bool [B].

    >>> boxes, fits = random_boxes((8, 8), seed=0, index=torch.arange(2), view=0,
    ...     draws=range(BOX_DRAWS), area=(0.25, 0.25), ratio=(1.0, 1.0))
    >>> boxes[:, 2:].tolist(), fits.tolist()
    ([[4, 4], [4, 4]], [True, True])
    """
    height, width = size
    drawn = uniforms(seed, index, view, draws).double()
    share = area[0] + (area[1] - area[0]) * drawn[0:-2:2]
    low, high = math.log(ratio[0]), math.log(ratio[1])
    by = torch.exp(low + (high - low) * drawn[1:-2:2])
    across_all = torch.sqrt(height * width * share * by).round().long()
    tall_all = torch.sqrt(height * width * share / by).round().long()
    most = (height, width) if whole else (height - 1, width - 1)
    fits = (across_all > 0) & (across_all <= most[1]) & (tall_all > 0) & (tall_all <= most[0])
    first = fits.int().argmax(0, keepdim=True)
    tall, across = tall_all.gather(0, first)[0], across_all.gather(0, first)[0]
    top = (drawn[-2] * (height - tall + 1)).long()
    left = (drawn[-1] * (width - across + 1)).long()
    return torch.stack([top, left, tall, across], 1), fits.any(0)


def central_box(size: tuple[int, int], ratio: tuple[float, float]) -> list[int]:
    """Top, left, height and width of the largest box in the middle with a ratio in this range.

    >>> central_box((10, 30), (0.75, 2.0))
    [0, 5, 10, 20]
    """
    height, width = size
    tall, across = height, width
    if width / height < ratio[0]:
        tall = round(width / ratio[0])
    elif width / height > ratio[1]:
        across = round(height * ratio[1])
    return [(height - tall) // 2, (width - across) // 2, tall, across]


def resized(images: Tensor, boxes: Tensor) -> Tensor:
    """Each box as large as its whole image, bilinear; nothing outside the box is seen.

    Shapes:
        images: uint8 or float32 [B, H, W, C]; boxes: int64 [B, 4] (top, left, height, width);
            returns the same shape and type, bytes rounded to the nearest.

    >>> images = torch.tensor([0.0, 9.0, 0.0, 4.0]).reshape(1, 1, 4, 1)
    >>> resized(images, torch.tensor([[0, 2, 1, 2]])).flatten().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    count, height, width, channels = images.shape
    top, left, tall, across = boxes.unbind(1)
    near, far, weight = _between(top, tall, height)
    first = torch.arange(count, device=images.device)[:, None] * height
    rows = images.reshape(count * height, width * channels)
    taken = [
        rows.index_select(0, (first + at).flatten()).view(count, height, width * channels)
        for at in (near, far)
    ]
    columns = torch.lerp(taken[0].float(), taken[1].float(), weight[:, :, None])
    near, far, weight = _between(left, across, width)
    columns = columns.view(count, height, width, channels)
    sides = [_columns(columns, at) for at in (near, far)]
    made = torch.lerp(sides[0], sides[1], weight[:, None, :, None])
    return made.round_().to(torch.uint8) if images.dtype == torch.uint8 else made


def _columns(images: Tensor, at: Tensor) -> Tensor:
    """Columns of each image."""
    count, height, width, channels = images.shape
    place = at[:, None, :, None].expand(count, height, width, channels)
    return images.gather(2, place)


def _between(start: Tensor, length: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each place in a side: the two places of the box that it lies between, and the weight.

    Shapes:
        start, length: int64 [B]; returns three of [B, side].
    """
    at = torch.arange(side, device=start.device, dtype=torch.float64) + 0.5
    exact = (at * (length[:, None].double() / side) - 0.5).clamp_min(0)
    near = exact.long()
    far = torch.minimum(near + 1, length[:, None] - 1)
    weight = (exact - near).float()
    return start[:, None] + near, start[:, None] + far, weight


def inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Whether each pixel lies in the box of its image.

    Shapes:
        boxes: int64 [B, 4] (top, left, height, width), partly outside too; returns bool [B, H, W].
    """
    top, left, tall, across = boxes[:, :, None].unbind(1)
    rows = torch.arange(size[0], device=boxes.device) - top
    columns = torch.arange(size[1], device=boxes.device) - left
    hit = ((rows >= 0) & (rows < tall))[:, :, None]
    return hit & ((columns >= 0) & (columns < across))[:, None, :]


def erase(
    images: Tensor, *, seed: int, index: Tensor, view: int, draws: Sequence[int], share: float
) -> None:
    """Zero (the mean, once normalised) a random box of a share of the images, in place.

    A pure function of (seed, index, view). In place, for a copy would lose the layout.

    Args:
        draws: the number of the draw that chooses the image, then `BOX_DRAWS` of its box.

    Shapes:
        images: float32 [B, C, H, W]; index: int64 [B].
    """
    choice, *of_box = draws
    size = (images.shape[2], images.shape[3])
    boxes, fits = random_boxes(
        size,
        seed=seed,
        index=index,
        view=view,
        draws=of_box,
        area=ERASED_AREA,
        ratio=ERASED_RATIO,
        whole=False,
    )
    chosen = fits & (uniform(seed, index, view, choice) < share)
    hit = inside(boxes, size) & chosen[:, None, None]
    images.masked_fill_(hit[:, None], 0.0)


def cut_out(
    images: Tensor, *, seed: int, index: Tensor, view: int, draws: tuple[int, int], side: int
) -> None:
    """Zero a square around a random pixel of each image, clipped at the edge, in place.

    Args:
        draws: numbers of the draws for its row and column.

    Shapes:
        images: float32 [B, C, H, W]; index: int64 [B].
    """
    height, width = images.shape[2:]
    down, right = uniforms(seed, index, view, draws)[:, :, None]
    row = (down * height).long() - side // 2
    column = (right * width).long() - side // 2
    sides = torch.full_like(row, side)
    hit = inside(torch.cat([row, column, sides, sides], 1), (height, width))
    images.masked_fill_(hit[:, None], 0.0)
