"""Noise: what images begin as, and the baselines. A pure function of (seed, row, pixel)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stillhouse.data.views import uniform

_FIRST, _SECOND = 0, 1
_TURN = 2 * math.pi


def uniform_noise(seed: int, rows: Tensor, shape: Sequence[int]) -> Tensor:
    """Independent numbers in [0, 1), the same for a row in whatever batch it comes.

    Shapes:
        rows: int64 [B]; returns float32 [B, *shape].

    >>> first = uniform_noise(0, torch.tensor([3, 7]), [1, 2, 2])
    >>> bool((first[1] == uniform_noise(0, torch.tensor([7]), [1, 2, 2])[0]).all())
    True
    """
    return uniform(seed, _places(rows, shape), 0, _FIRST).view(len(rows), *shape)


def gaussian_noise(seed: int, rows: Tensor, shape: Sequence[int]) -> Tensor:
    """Independent numbers of N(0, 1) (Box and Muller, 1958), alike.

    Shapes:
        rows: int64 [B]; returns float32 [B, *shape].

    >>> drawn = gaussian_noise(0, torch.arange(10), [1, 32, 32])
    >>> round(drawn.mean().item(), 1) + 0.0, round(drawn.std().item(), 1)
    (0.0, 1.0)
    """
    places = _places(rows, shape)
    radius = (-2 * torch.log1p(-uniform(seed, places, 0, _FIRST))).sqrt()
    drawn = radius * torch.cos(_TURN * uniform(seed, places, 0, _SECOND))
    return drawn.view(len(rows), *shape)


def _places(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """One number for each pixel of each row."""
    pixels = math.prod(shape)
    each = torch.arange(pixels, device=rows.device)
    return (rows[:, None] * pixels + each).flatten()
