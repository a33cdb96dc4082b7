"""Normalisations between projector and distance: the scale of neither side is the other's business.

No module here has parameters or running statistics: what it does in training it does in eval mode,
and nothing of it needs to be kept. All give float32.
"""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import WiringError, nearest

Normalisation = Literal["none", "l2", "batch", "group", "whiten"]
"""The kinds that `normaliser` knows."""

SAME = 1e-12
"""A vector shorter than this has no direction and stays what it is."""


def normaliser(kind: Normalisation, dim: int) -> nn.Module:
    """The module of that kind for features of this width, without parameters.

    ``none``: nothing; ``l2``: `UnitLength`; ``batch``: `BatchStatistics` (the paper's choice);
    ``group``: `GroupStatistics`; ``whiten``: `Whiten`. Both sides of a distance get one each.

    Shapes:
        [B, dim] or [B, dim, H, W] -> the same.

    Raises:
        WiringError: there is no such kind.

    Paper: "Understanding the Role of the Projector in Knowledge Distillation", arXiv 2303.11098.

    >>> normaliser("batch", 2)(torch.tensor([[1.0, 5.0], [3.0, 5.0]])).round(decimals=3).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    if kind not in get_args(Normalisation):
        known = nearest(kind, get_args(Normalisation))
        raise WiringError("normalisation", [f"no kind '{kind}'; {known}"])
    if kind == "none":
        return nn.Identity()
    if kind == "l2":
        return UnitLength()
    if kind == "batch":
        return BatchStatistics()
    if kind == "group":
        return GroupStatistics(dim)
    return Whiten()


class UnitLength(nn.Module):
    """Each vector at one length: ``sqrt(d) z / |z|``, so that its mean square is 1.

    sqrt(d) keeps distances comparable with those after `BatchStatistics`. A vector of zeros stays.
    Of a map, the vector is that of a position.

    >>> UnitLength()(torch.tensor([[3.0, 4.0]])).round(decimals=3).tolist()
    [[0.8489999771118164, 1.13100004196167]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """The scaled vectors."""
        x = x.float()
        lengths = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        scales: Tensor = math.sqrt(x.shape[1]) / lengths.masked_fill(lengths <= SAME, 1.0)
        return x * scales


class BatchStatistics(nn.Module):
    """Each dimension at mean 0 and variance 1 over the batch: ``(z - mean) / sqrt(var + eps)``.

    Always by the statistics of the batch itself, in eval mode too, with the biased variance. A
    dimension that does not vary, and a batch of one, give zeros with finite gradients. Of a map,
    the statistics are over positions too. Each process normalises its own share of a batch.

    Args:
        eps: added to the variance. 1e-4: the released ImageNet code (its DeiT part has 0, which is
            nan for a dead channel).

    >>> BatchStatistics()(torch.tensor([[7.0]])).tolist()
    [[0.0]]
    """

    def __init__(self, *, eps: float = 1e-4) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """The standardised features."""
        x = x.float()
        over = [0, *range(2, x.ndim)]
        variance, mean = torch.var_mean(x, over, correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + self.eps)


class GroupStatistics(nn.Module):
    """Each example at mean 0 and variance 1 within groups of dimensions (GroupNorm, not affine).

    Args:
        dim: how many dimensions.
        groups: at most so many. 16: the released code. It takes the largest number that divides
            ``dim`` and leaves at least 4 dimensions in each: two of them alone would be 1 and -1
            whatever they were.

    >>> GroupStatistics(64).groups, GroupStatistics(20).groups, GroupStatistics(7).groups
    (16, 5, 1)
    """

    def __init__(self, dim: int, *, groups: int = 16) -> None:
        super().__init__()
        fitting = [n for n in range(1, groups + 1) if dim % n == 0 and dim // n >= 4]
        self.groups = max(fitting, default=1)

    def forward(self, x: Tensor) -> Tensor:
        """The standardised features."""
        return F.group_norm(x.float(), self.groups)


class Whiten(nn.Module):
    """Dimensions at variance 1 and uncorrelated over the batch: ``L^-1 z``, L L' their correlation.

    First `BatchStatistics`, then the inverse of the Cholesky factor of ``R + eps I``. Directions in
    which the batch does not vary (there are some whenever it has no more examples than dimensions)
    stay at 0 instead of being blown up. Cholesky and not an eigendecomposition (ZCA): it costs less
    and its gradient is finite where eigenvalues coincide, as the zeros of such a batch do; it
    depends on the order of the dimensions, in the same way on both sides.

    Args:
        eps: ridge on the correlation matrix, and that of `BatchStatistics`. 1e-4: the released code
            for the latter. No direction is amplified more than 1 / sqrt(eps).

    >>> z = Whiten()(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -2.0], [0.0, 1.0]]))
    >>> (z.T @ z / 4).round(decimals=2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, *, eps: float = 1e-4) -> None:
        super().__init__()
        self.eps = eps
        self.standardise = BatchStatistics(eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """The whitened features."""
        channels_last = self.standardise(x).movedim(1, -1)
        # float64: of a batch with equal dimensions, the rounding of float32 exceeds the ridge.
        rows = channels_last.flatten(0, -2).double()
        ridge = self.eps * torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
        # cholesky_ex does not wait for the device; what is nan stays nan and is told by the engine.
        factor, _ = torch.linalg.cholesky_ex(rows.T @ rows / len(rows) + ridge)
        whitened: Tensor = torch.linalg.solve_triangular(factor, rows.T, upper=False).T
        return whitened.float().reshape(channels_last.shape).movedim(-1, 1)
