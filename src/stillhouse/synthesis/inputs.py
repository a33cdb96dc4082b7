"""Inputs of a stage of synthesis: noise, and modules that hold pixels or draw and shift them.

Noise, which images and the baselines begin as, is a pure function of (seed, row, pixel).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

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


FLIP_SHARE = 0.5


class ParameterBatch(nn.Module):
    """A batch of images or latent numbers as a parameter, which an update moves.

    Every step gives all of it, so what the batch says (``batch.index``) only tells the engine where
    the step runs.

    >>> pixels = ParameterBatch(torch.zeros(3, 1, 2, 2))
    >>> pixels(torch.arange(3)).shape, pixels.values.requires_grad
    (torch.Size([3, 1, 2, 2]), True)
    """

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, _index: Tensor) -> Tensor:
        """All of it."""
        return self.values


class ConstantBatch(nn.Module):
    """A batch of numbers that no update moves: the targets of the images.

    >>> ConstantBatch(torch.eye(2))(torch.arange(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)

    def forward(self, _index: Tensor) -> Tensor:
        """All of it."""
        return self.values


class RandomShift(nn.Module):
    """The batch rolled by random offsets and mirrored in half of the steps.

    Every image by the same: DeepInversion wants images that are good wherever they are.

    Args:
        reach: largest offset as a share of a side. 1/8: the CMI benchmark code for small images.
        flip: whether to mirror.
    """

    def __init__(self, reach: float = 0.125, *, flip: bool = True) -> None:
        super().__init__()
        self.reach, self.flip = reach, flip

    def forward(self, image: Tensor) -> Tensor:
        """Shapes: [B, C, H, W] to the same."""
        offsets = [_offset(int(side * self.reach)) for side in image.shape[2:]]
        moved = torch.roll(image, offsets, (2, 3))
        return moved.flip(3) if self.flip and torch.rand(()).item() < FLIP_SHARE else moved


def _offset(most: int) -> int:
    return int(torch.randint(-most, most + 1, ()).item()) if most else 0


class RandomLatent(nn.Module):
    """Fresh latent numbers of N(0, 1) for each image of a batch.

    >>> RandomLatent(3)(torch.arange(2)).shape
    torch.Size([2, 3])
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, index: Tensor) -> Tensor:
        """Shapes: [B] to [B, size]."""
        return torch.randn(len(index), self.size, device=index.device)
