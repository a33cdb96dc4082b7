"""Paired gains of one comparison: their mean, their variance, and how many there are."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Paired:
    """Paired differences, mine minus theirs, of one comparison.

    Args:
        mean: of them; in the unit of the metric.
        variance: s^2, with n - 1 below; None for one pair.
        count: n, how many seeds both sides have.
    """

    mean: float
    variance: float | None
    count: int

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the variance, n - 1.

        >>> Paired(0.02, 1e-4, 3).freedom
        2
        """
        return self.count - 1


def paired(differences: Sequence[float], *, step: float | None = None) -> Paired | None:
    """Mean and variance of paired differences; None without a pair.

    An accuracy over N images is a multiple of 1 / N, and so a few differences may be equal by
    rounding alone. Rounding to multiples of ``step`` has a variance of step^2 / 12, and a
    difference two of these: with ``step``, the variance is at least step^2 / 6.

    Args:
        differences: one per seed, mine minus theirs.
        step: what the two sides are multiples of, such as 1 / N; None for what is not rounded.

    >>> found = paired([0.01, 0.02, 0.03])
    >>> round(found.mean, 4), round(found.variance, 6), found.count
    (0.02, 0.0001, 3)
    >>> paired([6.0, 6.0, 6.0], step=3.0).variance
    1.5
    """
    if not differences:
        return None
    mean, count = statistics.fmean(differences), len(differences)
    if count == 1:
        return Paired(mean, None, 1)
    spread = math.fsum((each - mean) ** 2 for each in differences) / (count - 1)
    if max(differences) == min(differences):
        spread = 0.0  # the mean of equal numbers may be off by rounding
    return Paired(mean, max(spread, 0.0 if step is None else step**2 / 6), count)
