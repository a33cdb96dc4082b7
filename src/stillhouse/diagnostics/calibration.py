"""Calibration: whether a network is right as often as its probabilities say."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 15
"""Of equal width, as in Guo et al. 2017."""
HOTTEST = 20.0
"""Temperatures are looked for from 1 / 20 to 20."""


@dataclass(frozen=True)
class Reliability:
    """Rows by their confidence, in bins of equal width from 0 to 1.

    Args:
        count: rows of each bin.
        confidence: their mean; 0 where a bin is empty.
        right: the share of them that is right; 0 where a bin is empty.
    """

    count: tuple[int, ...]
    confidence: tuple[float, ...]
    right: tuple[float, ...]

    @property
    def error(self) -> float:
        """The expected calibration error: ``sum_b n_b / n |right_b - confidence_b|``."""
        bins = zip(self.count, self.confidence, self.right, strict=True)
        return sum(n * abs(right - sure) for n, sure, right in bins) / max(sum(self.count), 1)


def reliability(confidence: Tensor, right: Tensor, bins: int = BINS) -> Reliability:
    """Put rows into bins by how sure the network is, and see how often it is right.

    Bin b holds confidences in ``(b / bins, (b + 1) / bins]``, the first one 0 as well.

    Shapes:
        confidence: [N], the largest probability of each row; right: [N], 0 or 1.

    Paper: Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599.

    >>> reliability(torch.tensor([0.95, 0.85]), torch.tensor([1, 0]), bins=10).error
    0.45...
    """
    sure, hit = confidence.double(), right.double()
    index = ((sure * bins).ceil().long() - 1).clamp(0, bins - 1)
    empty = torch.zeros(bins, dtype=torch.float64)
    count = torch.bincount(index, minlength=bins)
    sums = [empty.index_add(0, index, values) for values in (sure, hit)]
    means = [(total / count.clamp(min=1)).tolist() for total in sums]
    return Reliability(tuple(count.tolist()), tuple(means[0]), tuple(means[1]))


def mending_temperature(logits: Tensor, label: Tensor) -> float | None:
    """The temperature by which logits are divided so that their cross-entropy is least.

    Above 1: the network is too sure of itself. None for fewer than two rows, and where no
    temperature between 1 / 20 and 20 is best (all rows are right, or no better than by chance).

    Shapes:
        logits: [N, K]; label: [N], class indices.

    Paper: Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599.

    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
    >>> round(mending_temperature(logits, torch.tensor([0, 0, 0, 1])), 3)
    1.82
    """
    from scipy.optimize import minimize_scalar  # it takes half a second to import

    if len(label) < 2:
        return None
    z, y = logits.double(), label.long()

    def entropy(log_temperature: float) -> float:
        return F.cross_entropy(z / torch.tensor(log_temperature).exp(), y).item()

    end = float(torch.tensor(HOTTEST).log())
    found = minimize_scalar(entropy, bounds=(-end, end), method="bounded")
    if min(entropy(-end), entropy(end)) <= entropy(found.x) + 1e-9:
        return None
    return float(torch.tensor(found.x).exp())
