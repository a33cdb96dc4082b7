"""Affine views: turned, resized and shifted by fractions of a pixel, each image on its own."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.views import uniforms


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
