"""Heads: a branch for an early exit, a classifier by width, mixtures of two heads, and a critic."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn

from stillhouse.bridges.shapes import as_map, map_shape

SLOPE = 0.2
"""Of the leaky ReLU: the custom of discriminators."""


def match_width(learner: Size, target: Size) -> nn.Module:
    """Nothing when the widths agree, else a linear map from the learner's width to the target's.

    Shapes:
        learner: [..., d_s]; target: [..., d_t].

    >>> match_width(Size([8, 3]), Size([8, 3])), match_width(Size([8, 3]), Size([8, 5]))
    (Identity(), Linear(in_features=3, out_features=5, bias=True))
    """
    if learner[-1] == target[-1]:
        return nn.Identity()
    return nn.Linear(learner[-1], target[-1])


def classifier(embedding: Size, logits: Size) -> nn.Module:
    """A linear head from an embedding [B, D] to as many classes as there are logits [B, K].

    >>> classifier(Size([8, 3]), Size([8, 5]))
    Linear(in_features=3, out_features=5, bias=True)
    """
    return nn.Linear(embedding[1], logits[1])


class ExitBranch(nn.Module):
    """A feature on its way to the width of the embedding: ``mean_hw relu(norm(conv3x3(x)))``.

    The convolution has stride 2; tokens count as a map, a vector as one position.

    Args:
        mine, deep: shapes of the feature and of the embedding [B, D].

    Shapes:
        forward: a feature like ``mine`` -> [B, D].

    >>> import torch
    >>> branch = ExitBranch(Size([2, 4, 8, 8]), Size([2, 6]))
    >>> branch(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 6])
    """

    def __init__(self, mine: Size, deep: Size) -> None:
        super().__init__()
        self.conv = nn.Conv2d(map_shape(mine)[1], deep[1], 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(deep[1])

    def forward(self, x: Tensor) -> Tensor:
        """Branch off."""
        branched: Tensor = self.norm(self.conv(as_map(x))).relu().mean((2, 3))
        return branched


def mixture(alpha: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Log-probabilities of a mixture of two heads: ``log((1 - alpha) p_own + alpha p_other)``.

    They serve as logits: their softmax is the mixture.

    Shapes:
        own, other: [B, C] logits; the result: [B, C].

    >>> mixed = mixture(0.5)(torch.tensor([[0.0, 0.0]]), torch.tensor([[50.0, 0.0]]))
    >>> [round(p, 2) for p in mixed.exp()[0].tolist()]
    [0.75, 0.25]
    """
    return partial(_mix, alpha=alpha)


class Critic(nn.Module):
    """One score for each side of a batch, large for what it takes for the teacher's.

    Three linear layers with leaky ReLU between, the same for both sides.

    Args:
        mine: shape of what it looks at, [B, D].
        hidden: width of the hidden layers.

    Shapes:
        forward: student, teacher: [B, D] -> [B, 2], the score of either.

    >>> Critic(Size([4, 10]), hidden=8)(torch.zeros(4, 10), torch.ones(4, 10)).shape
    torch.Size([4, 2])
    """

    def __init__(self, mine: Size, *, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(mine[1], hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, 1),
        )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Judge both."""
        return torch.cat([self.layers(student), self.layers(teacher)], dim=1)


def _mix(own: Tensor, other: Tensor, *, alpha: float) -> Tensor:
    log_own, log_other = F.log_softmax(own.float(), 1), F.log_softmax(other.float(), 1)
    if alpha in (0.0, 1.0):
        return log_other if alpha else log_own
    both = [log_own + math.log1p(-alpha), log_other + math.log(alpha)]
    # Of a class that both rule out (-inf), the gradient of a logarithm of a sum would be nan.
    never = (both[0] == -torch.inf) & (both[1] == -torch.inf)
    mixed = torch.logaddexp(*(each.masked_fill(never, 0.0) for each in both))
    return mixed.masked_fill(never, -torch.inf)
