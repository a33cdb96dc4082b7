"""Margin ReLU: how far below 0 a target may ask for, channel by channel."""

import math

import torch
from torch import Tensor, nn

from stillhouse.bridges.shapes import as_map

RARE = 1e-3
"""Share of values below 0 under which their mean says nothing."""
FAR = 3.0
"""Such a channel's margin, in standard deviations below 0."""


class MarginReLU(nn.Module):
    """A map that is cut off below, each channel at its own margin: ``max(x, m_c)``.

    Args:
        margin: [C], mostly below 0.

    Shapes:
        forward: a feature -> the same as a map [B, C, H, W].

    Paper: Heo et al., "A Comprehensive Overhaul of Feature Distillation", arXiv 1904.01866.

    >>> MarginReLU(torch.tensor([-1.0]))(torch.tensor([[[[-3.0, -0.5, 2.0]]]])).flatten().tolist()
    [-1.0, -0.5, 2.0]
    """

    margin: Tensor

    def __init__(self, margin: Tensor) -> None:
        super().__init__()
        self.register_buffer("margin", margin.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Cut off."""
        return torch.maximum(as_map(x), self.margin.to(x)[:, None, None])


def batch_norm_margin(norm: nn.Module) -> Tensor:
    """The mean of the negative values of each channel after a batch norm, by its parameters.

    A channel is taken for Gaussian around the bias b with deviation ``|w|``:
    ``E[x | x < 0] = b - |w| phi(b / |w|) / Phi(-b / |w|)``; where less than 0.1 % of the values are
    below 0, ``-3 |w|``.

    Args:
        norm: a batch norm; without affine parameters b is 0 and w 1.

    >>> norm = nn.BatchNorm2d(2)
    >>> _ = norm.bias.data.copy_(torch.tensor([0.0, 9.0]))
    >>> [round(m, 4) for m in batch_norm_margin(norm).tolist()]
    [-0.7979, -3.0]
    """
    channels = int(norm.num_features)  # type: ignore[arg-type]
    weight, bias = norm.weight, norm.bias
    deviation = torch.ones(channels) if weight is None else weight.detach().abs().cpu()  # type: ignore[operator]
    mean = torch.zeros(channels) if bias is None else bias.detach().cpu()  # type: ignore[operator]
    deviation, mean = deviation.double(), mean.double()
    z = mean / deviation.clamp(min=1e-12)
    below = torch.special.ndtr(-z)
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    usual = mean - deviation * density / below.clamp(min=RARE)
    return torch.where(below > RARE, usual, -FAR * deviation).float()


def observed_margin(x: Tensor) -> Tensor:
    """The mean of the negative values of each channel in some maps; 0 where there are none.

    >>> observed_margin(torch.tensor([[[[-3.0, -1.0, 2.0]], [[1.0, 0.0, 5.0]]]])).tolist()
    [-2.0, 0.0]
    """
    rows = as_map(x).float().transpose(0, 1).flatten(1)
    below = rows < 0
    return (rows * below).sum(1) / below.sum(1).clamp(min=1)
