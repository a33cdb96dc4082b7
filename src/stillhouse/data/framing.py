"""What of a held image is shown, and how large: its middle, a random box, a random place."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.boxes import central_box, random_boxes, resized
from stillhouse.data.resampling import cut_and_resized
from stillhouse.data.views import uniforms
from stillhouse.functional.numerics import on_device


def scaled(images: Tensor, *, side: int, size: int | None) -> Tensor:
    """Brought to a shorter side; then the middle square of a size, as evaluation sees it.

    Args:
        side: of all of it.
        size: of the middle; None leaves all of it.

    Shapes:
        images: uint8 [B, H, W, C]; returns uint8 [B, size, size, C].

    >>> image = torch.arange(0, 160, 10, dtype=torch.uint8).reshape(1, 4, 4, 1)
    >>> scaled(image, side=4, size=2).flatten().tolist()
    [50, 60, 90, 100]
    """
    sides = (images.shape[1], images.shape[2])
    tall, across = (round(side * each / min(sides)) for each in sides)
    boxes = on_device([[0, 0, *sides]], images.device).expand(len(images), 4)
    rows, columns = (_middle(each, size or each) for each in (tall, across))
    return cut_and_resized(images, boxes, (tall, across), (rows, columns))


def _middle(side: int, size: int) -> tuple[int, int]:
    """First and last + 1 of the places in the middle, as torchvision's CenterCrop takes them."""
    first = round((side - size) / 2)
    return first, first + size


def random_resized(
    images: Tensor,
    *,
    seed: int,
    index: Tensor,
    view: int,
    draws: Sequence[int],
    least: float,
    aspect: float,
    size: int | None,
) -> Tensor:
    """A random box of each image, a pure function of (seed, index, view).

    Args:
        draws: `BOX_DRAWS` numbers of draws.
        least: share of the area.
        aspect: width by height is between 1 / aspect and aspect.
        size: the side at which it is shown; None: as large as the image is held.

    Shapes:
        images: [B, H, W, C], uint8 where there is a size; index: int64 [B].
    """
    sides, ratio = (images.shape[1], images.shape[2]), (1 / aspect, aspect)
    boxes, fits = random_boxes(
        sides, seed=seed, index=index, view=view, draws=draws, area=(least, 1.0), ratio=ratio
    )
    middle = on_device(central_box(sides, ratio), images.device)
    chosen = torch.where(fits[:, None], boxes, middle)
    if size is None:
        return resized(images, chosen)
    return cut_and_resized(images, chosen, (size, size), ((0, size), (0, size)))


def placed(
    images: Tensor,
    *,
    seed: int,
    index: Tensor,
    view: int,
    draws: tuple[int, int, int],
    crop: int,
    flip: bool,
    size: int | None,
) -> Tensor:
    """Padded, cut at a random place and mirrored, as one gather.

    Args:
        draws: numbers of the draws for mirror, row and column.
        crop: zero pixels on each side; 0: nothing is cut.
        flip: whether half of the images are mirrored left to right.
        size: the side that is cut out; None: as large as the image is.

    Shapes:
        images: [B, H, W, C]; index: int64 [B].
    """
    if not crop and not flip:
        return images
    count, held_high, held_wide, _ = images.shape
    height, width = (size, size) if crop and size else (held_high, held_wide)
    rows = torch.arange(height, device=images.device).expand(count, height)
    columns = torch.arange(width, device=images.device).expand(count, width)
    mirrored, down, right = uniforms(seed, index, view, draws)[:, :, None]
    if flip:
        columns = torch.where(mirrored >= 0.5, width - 1 - columns, columns)
    if crop:
        places = 2 * crop + 1
        rows = rows + (down * (places + held_high - height)).long()
        columns = columns + (right * (places + held_wide - width)).long()
        images = F.pad(images, (0, 0, crop, crop, crop, crop))
    sample = torch.arange(count, device=images.device)[:, None, None]
    return images[sample, rows[:, :, None], columns[:, None, :]]
