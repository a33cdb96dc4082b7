"""The gain of one figure of a table, with its interval over seeds."""

from collections.abc import Sequence

import numpy as np

from stillhouse.records.figures import FigureGain
from stillhouse.verdict.judgement import LEAST
from stillhouse.verdict.spread import spread


def gain_over_seeds(
    by_seed: Sequence[float], low: float | None = None, high: float | None = None
) -> FigureGain:
    """The mean gain, with a t-interval for other seeds of `LEAST` seeds or more.

    Args:
        by_seed: gains, positive where the student is better; at least one.
        low, high: the interval for what else is resampled, where something is.

    >>> found = gain_over_seeds([0.1, 0.2, 0.3])
    >>> f"{found.value:.1f} ({found.seeds_low:.2f} to {found.seeds_high:.2f})"
    '0.2 (-0.05 to 0.45)'
    """
    found = spread(by_seed)
    half = found.half if found and len(by_seed) >= LEAST else None
    mean = float(np.mean(by_seed))
    return FigureGain(
        value=mean,
        by_seed=tuple(by_seed),
        low=low,
        high=high,
        seeds_low=None if half is None else mean - half,
        seeds_high=None if half is None else mean + half,
    )
