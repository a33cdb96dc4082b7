"""Equivalence within a margin that was said before: two one-sided tests."""

import numpy as np
import numpy.typing as npt

from stillhouse.verdict.moderated import Prior, Values, upper_tail


def outside_the_margin(
    mean: npt.ArrayLike,
    variance: npt.ArrayLike,
    count: npt.ArrayLike,
    known: Prior,
    *,
    margin: float,
) -> Values:
    """P of the two one-sided tests: small where a difference is shown to be within the margin.

    max of P(T >= (margin - mean) / se) and P(T >= (margin + mean) / se), with the standard error
    and degrees of freedom of the moderated test. Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987).

    Args:
        mean, variance, count: of paired differences; shape (..., arms).
        known: of their study.
        margin: above 0, in the unit of the metric.

    Raises:
        ValueError: a margin that is not above 0.

    >>> from stillhouse.verdict.moderated import alone
    >>> float(outside_the_margin([0.001], [1e-6], 5, alone(), margin=0.005).round(5)[0])
    0.00043
    """
    if not margin > 0:
        raise ValueError(f"the margin is {margin}; give one above 0")
    found = np.asarray(mean, dtype=np.float64)
    sides = [upper_tail(margin + side * found, variance, count, known) for side in (1, -1)]
    return np.asarray(np.maximum(*sides))
