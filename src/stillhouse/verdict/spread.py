"""A mean over seeds with its interval."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A mean over ``count`` seeds; ``half`` is the half-width of its interval, None for one."""

    mean: float
    half: float | None
    count: int


def spread(values: Iterable[float | None], *, confidence: float = 0.95) -> Spread | None:
    """Return mean and half-width of the Student t-interval; None if no value is there.

    half = t(1/2 + confidence/2; n - 1) * s / sqrt(n), with s the sample standard deviation.

    Args:
        values: one number per seed; None (a seed that is not done) is left out.
        confidence: in (0, 1); 0.95 is the field's custom.

    >>> found = spread([0.96, 0.97, 0.98])
    >>> f"{found.mean:.2f} +- {found.half:.4f}"
    '0.97 +- 0.0248'
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = statistics.fmean(known)
    if len(known) == 1:
        return Spread(mean, None, 1)
    from scipy.stats import t

    quantile = float(t.ppf(0.5 + confidence / 2, len(known) - 1))
    half = quantile * statistics.stdev(known) / math.sqrt(len(known))
    return Spread(mean, half, len(known))
