"""What so many seeds can show, before anything is trained."""

import functools

import numpy as np

from stillhouse.verdict.judgement import LEAST, LEVEL
from stillhouse.verdict.moderated import ARMS_PER_STRENGTH, STRENGTHS

POWER = 0.8
"""The field's custom: a gain that is found 8 times in 10."""
TYPICAL = 0.8
"""Share of the largest k that the average over k comes to where variances are alike (simulated)."""

QUANTILES = 4000


@functools.cache
def smallest_gain(
    seeds: int,
    arms: int = 1,
    comparisons: int | None = None,
    *,
    power: float = POWER,
    level: float = LEVEL,
) -> float | None:
    """The smallest gain that is found with so much power, in standard deviations of the gain.

    By the noncentral t-distribution with (k + 1) (n - 1) degrees of freedom, at level / comparisons
    (the first step of Holm's correction): the least delta with
    P(|T(delta sqrt(n))| > t(1 - level / (2 comparisons))) >= power. None below three seeds.

    Args:
        seeds: n.
        arms: that share what they know of the variance.
        comparisons: of one family, such as a study's claims; None: all arms.
        power: chance to find it.
        level: of the family.

    >>> round(smallest_gain(3), 1), round(smallest_gain(3, 14), 1), round(smallest_gain(5, 14), 1)
    (3.3, 3.4, 2.0)
    >>> smallest_gain(2) is None
    True
    """
    if seeds < LEAST:
        return None
    from scipy.optimize import brentq
    from scipy.stats import chi2, norm, t

    freedom = (1 + strength(arms)) * (seeds - 1)
    bound = float(t.isf(level / 2 / (comparisons or arms), freedom))
    # scipy's noncentral t gives nan at the thresholds of many comparisons: over quantiles of s.
    s = np.sqrt(chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, freedom) / freedom)

    def missing(gain: float) -> float:
        centre = gain * seeds**0.5
        return float((norm.sf(bound * s - centre) + norm.cdf(-bound * s - centre)).mean()) - power

    return float(brentq(missing, 0.0, 4 * bound + 4))


def strength(arms: int) -> float:
    """What neighbours are worth where variances are alike; see `stillhouse.verdict.moderated`.

    >>> strength(1), strength(14)
    (0.0, 2.0)
    """
    possible = [k for k in STRENGTHS if arms > 1 and ARMS_PER_STRENGTH * k <= arms]
    return TYPICAL * max(possible, default=0.0)


def shown_by(seeds: int, arms: int = 1, comparisons: int | None = None) -> str:
    """What seeds can show, in a line.

    >>> shown_by(3, 14)
    '3 seeds and 14 arms: a gain of about 3.4 standard deviations is found 8 times in 10'
    >>> shown_by(5)
    '5 seeds: a gain of about 1.7 standard deviations is found 8 times in 10'
    >>> shown_by(2, 14)
    '2 seeds are too few to tell: no word is said of a gain; use 3 or more'
    """
    gain = smallest_gain(seeds, arms, comparisons)
    if gain is None:
        have = "1 seed is" if seeds == 1 else f"{seeds} seeds are"
        return f"{have} too few to tell: no word is said of a gain; use {LEAST} or more"
    beside = f" and {arms} arms" if arms > 1 else ""
    if comparisons is not None and comparisons != arms:
        beside += f", {comparisons} of them claims" if comparisons > 1 else ", one of them a claim"
    what = f"a gain of about {gain:.1f} standard deviations is found 8 times in 10"
    return f"{seeds} seeds{beside}: {what}"
