"""Blurred views: each image by a Gaussian of its own width."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.views import uniform

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
