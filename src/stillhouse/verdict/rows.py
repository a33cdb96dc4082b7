"""What one answer per test row adds: McNemar's test, and seeds and rows resampled together.

A t-interval over seeds says what other seeds would give *on these test rows*. With one bit per row
and run (right or wrong; any number per row whose mean is the metric) the rows count as well.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.verdict.paired import paired

RESAMPLES = 2000
CHUNK = 100  # resamples at once: 100 x 50,000 rows are 40 MB


@dataclass(frozen=True)
class McNemar:
    """Two networks on the same rows.

    Args:
        gained, lost: rows that mine has right and theirs wrong, and the reverse.
        p: exact and two-sided.
    """

    gained: int
    lost: int
    p: float


def mcnemar(mine: npt.ArrayLike, theirs: npt.ArrayLike) -> McNemar:
    """McNemar's exact test (Psychometrika 12, 1947): the rows that only one of them has right.

    Where neither is better, gained ~ Binomial(gained + lost, 1/2). It speaks of two networks, not
    of two methods: other seeds are other networks.

    Args:
        mine, theirs: whether each row is right; shape (rows,).

    Raises:
        ValueError: of different shapes.

    >>> mcnemar([1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, 0, 1])
    McNemar(gained=6, lost=0, p=0.03125)
    """
    first, second = _pair(mine, theirs, axes=1)
    gained = int((first > second).sum())
    lost = int((first < second).sum())
    if gained + lost == 0:
        return McNemar(0, 0, 1.0)
    from scipy.stats import binomtest

    return McNemar(gained, lost, float(binomtest(gained, gained + lost).pvalue))


@dataclass(frozen=True)
class TwoWay:
    """A mean gain with what seeds and rows make of it.

    Args:
        mean: gain.
        low, high: 95 % interval for other seeds and other rows; None with one seed.
        over_seeds: standard error by seeds, on these rows; None with one seed.
        over_rows: standard error by rows, of these networks.
        seeds, rows: how many there are.
    """

    mean: float
    low: float | None
    high: float | None
    over_seeds: float | None
    over_rows: float
    seeds: int
    rows: int


def two_way(
    mine: npt.ArrayLike,
    theirs: npt.ArrayLike,
    *,
    step: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> TwoWay:
    """Resample seeds and rows together, each by itself: the paired gain with both sources.

    The standard error is that of the bootstrap over both (Owen, Ann. Appl. Stat. 1, 2007), with the
    deviations of the seeds scaled by sqrt(n / (n - 1)), for resampling few of them is too narrow by
    that. The interval is mean -+ t(nu) se, with Satterthwaite's degrees of freedom
    nu = (a + b)^2 / (a^2 / (n - 1) + b^2 / (R - 1)) of the squared standard errors a over n seeds
    and b over R rows. Both hold the noise that is of neither, so it is a little too wide. Rows
    lend degrees of freedom to few seeds, which can make it narrower than the t-interval of the
    seeds alone: it is then as wide as that, since who asks for more cannot know better.

    Args:
        mine, theirs: a number per row of each run, such as right or wrong; shape (seeds, rows),
            the same seeds in the same order.
        step: what a run's mean is a multiple of, such as 1 / rows, as of `paired`.
        resamples: how often.
        seed: of the resampling.
        confidence: of the interval.

    Raises:
        ValueError: of different shapes.

    >>> right = [[1, 1, 1, 0], [1, 1, 0, 1], [1, 1, 1, 1]]
    >>> wrong = [[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0]]
    >>> found = two_way(right, wrong)
    >>> round(found.mean, 3), round(found.over_seeds, 3), round(found.over_rows, 3)
    (0.333, 0.083, 0.0)
    """
    first, second = _pair(mine, theirs, axes=2)
    gain = first - second
    seeds, rows = gain.shape
    mean, by_row, by_seed = float(gain.mean()), gain.mean(0), gain.mean(1)
    over_rows = float(by_row.std(ddof=1) / math.sqrt(rows)) if rows > 1 else 0.0
    if seeds == 1:
        return TwoWay(mean, None, None, None, over_rows, seeds, rows)
    of_seeds = paired(by_seed.tolist(), step=step)
    variance = of_seeds.variance if of_seeds is not None else None
    over_seeds = math.sqrt((variance or 0.0) / seeds)
    wider = by_row + (gain - by_row) * math.sqrt(seeds / (seeds - 1))
    error = float(_resampled(wider, resamples, np.random.default_rng(seed)).std(ddof=1))
    from scipy.stats import t

    parts = over_seeds**2, over_rows**2
    apart = parts[0] ** 2 / (seeds - 1) + parts[1] ** 2 / max(1, rows - 1)
    freedom = sum(parts) ** 2 / apart if apart else math.inf
    tail = 0.5 + confidence / 2
    by_seeds = float(t.ppf(tail, seeds - 1)) * over_seeds
    half = max(float(t.ppf(tail, freedom)) * error, by_seeds)
    return TwoWay(mean, mean - half, mean + half, over_seeds, over_rows, seeds, rows)


def _resampled(
    gain: npt.NDArray[np.float64], resamples: int, draw: np.random.Generator
) -> npt.NDArray[np.float64]:
    """The mean gain of each resample of seeds and rows."""
    seeds, rows = gain.shape
    found = []
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        of_rows = draw.multinomial(rows, np.full(rows, 1 / rows), count)
        of_seeds = draw.multinomial(seeds, np.full(seeds, 1 / seeds), count)
        found.append(((of_seeds @ gain) * of_rows).sum(1) / (seeds * rows))
    return np.concatenate(found)


def _pair(
    mine: npt.ArrayLike, theirs: npt.ArrayLike, *, axes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    first, second = np.asarray(mine, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if first.shape != second.shape or first.ndim != axes or not first.size:
        expected = "(rows,)" if axes == 1 else "(seeds, rows)"
        raise ValueError(f"shapes {first.shape} and {second.shape}; both should be {expected}")
    return first, second
