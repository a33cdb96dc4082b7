"""Several seeds: mean with its interval, the paired t-test, and many such comparisons at once."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEVEL = 0.05
"""The field's custom: one comparison in twenty may err where there is no difference."""
LEAST = 3
"""Seeds to judge by: two differences are nearly equal by luck too often to be a finding."""


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


@dataclass(frozen=True)
class PairedDifference:
    """Paired differences: their mean, its 95 % t-interval and two-sided p; None for one pair."""

    mean: float
    low: float | None
    high: float | None
    p: float | None
    count: int


def paired_t(differences: Sequence[float], *, step: float | None = None) -> PairedDifference | None:
    """The paired t-test; None without a pair.

    t = mean / (s / sqrt(n)); p = P(|T| >= |t|) with n - 1 degrees of freedom; the interval is
    mean -+ t(0.975; n - 1) s / sqrt(n). Where all differences are equal, p is 0 (1 if they are 0).

    An accuracy over N images is a multiple of 1 / N, and so a few differences may be equal by
    rounding alone. Rounding to multiples of ``step`` has a variance of step^2 / 12, and a
    difference two of these: with ``step``, s is at least step / sqrt(6).

    Args:
        differences: one per seed, mine minus theirs.
        step: what the two sides are multiples of, such as 1 / N; None for what is not rounded.

    >>> found = paired_t([0.01, 0.02, 0.03])
    >>> round(found.p, 4), round(found.low, 4), round(found.high, 4)
    (0.0742, -0.0048, 0.0448)
    >>> round(paired_t([0.01, 0.01, 0.01], step=0.01).p, 3)
    0.051
    """
    if not differences:
        return None
    mean, count = statistics.fmean(differences), len(differences)
    if count == 1:
        return PairedDifference(mean, None, None, None, 1)
    least = 0.0 if step is None else step / math.sqrt(6)
    error = max(statistics.stdev(differences), least) / math.sqrt(count)
    from scipy.stats import t

    half = float(t.ppf(0.975, count - 1)) * error
    if error == 0:
        return PairedDifference(mean, mean, mean, 1.0 if mean == 0 else 0.0, count)
    return PairedDifference(
        mean, mean - half, mean + half, float(2 * t.sf(abs(mean / error), count - 1)), count
    )


def corrected(family: Sequence[PairedDifference | None]) -> list[float | None]:
    """The corrected p of each comparison; those of fewer than three pairs have none, and count not.

    >>> corrected([paired_t([0.01, 0.02, 0.03]), paired_t([0.01, 0.03]), None])[1:]
    [None, None]
    """
    return holm([found.p if found and found.count >= LEAST else None for found in family])


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Step-down correction for several comparisons; None stays None and counts for none.

    Sorted ascending, p(1) <= ... <= p(N): the corrected p(i) = max over j <= i of
    min(1, (N - j + 1) p(j)). Rejecting where it is below a level keeps the chance of even one
    wrong finding below that level, whatever depends on what. Holm, Scand. J. Statist. 6 (1979).

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    order = sorted((value, at) for at, value in enumerate(p) if value is not None)
    corrected: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, at) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * value))
        corrected[at] = highest
    return corrected


def judged(found: PairedDifference | None, p: float | None, *, level: float = LEVEL) -> str:
    """What may be said of a comparison, by its corrected p.

    >>> judged(paired_t([0.01, 0.02, 0.03]), 0.0742)
    'no difference shown'
    >>> judged(paired_t([0.02, 0.02, 0.03]), 0.02), judged(paired_t([0.02, 0.02]), None)
    ('helps', 'two seeds')
    """
    if found is None:
        return "no control"
    if p is None or found.count < LEAST:
        return "one seed" if found.count == 1 else "two seeds"
    if p >= level:
        return "no difference shown"
    return "helps" if found.mean > 0 else "hurts"
