"""The moderated paired t-test: the arms of a study share what they know of the variance.

Three seeds tell little of the variance of one arm. Its neighbours, trained under the same budget on
the same data, tell the rest (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004): with d = n - 1 degrees
of freedom and a variance s^2 of its own, and a prior variance s0^2 that is worth d0 = k d,

    s~^2 = (d0 s0^2 + d s^2) / (d0 + d) = (k s0^2 + s^2) / (k + 1),    t = mean / (s~ / sqrt(n)),

which has (k + 1) d degrees of freedom where there is no difference. Three choices differ from
limma, for a study has few arms, few seeds, and one control that all its arms share; what each is
worth, ``benchmarks/verdict.py`` simulates:

* **k is bounded**, by 2.5, and by a third of the number of arms. Arms with a common control have
  correlated variances: if differences have a correlation rho, the mean of however many variances
  has no more than d / rho^2 degrees of freedom. (k + 1) d <= 3.5 d is that bound for rho = 0.53; a
  control as noisy as its arms makes 0.5.
* **k is averaged over, not estimated**: from three seeds and 14 arms it cannot be told. Each value
  of ``STRENGTHS`` has a weight in proportion to the likelihood of the variances,
  s^2 / s0^2 ~ F(d, k d), and the chance of a value is the weighted mean of its chances.
* **s0^2 is the mean of the variances**, not that of their logarithms: where arms differ much in
  variance it is too large rather than too small.

An arm that is far noisier than the rest, such as one whose training nearly diverged, tells nothing
of the others, nor they of it: it stands apart, as one comparison by itself does, and has the plain
paired t-test.

All functions take arrays whose last axis is the arms; axes before it are studies.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5)
"""Values of k: what the neighbours may be worth, in units of an arm's own degrees of freedom."""
ARMS_PER_STRENGTH = 3
"""Arms that a k of 1 needs."""
NOISY = 40.0
"""An arm stands apart from where its variance is so many times the mean of all smaller ones."""
TINY = 1e-9
"""A variance of zero counts, in the likelihood, as so small a share of the mean."""
HALVINGS = 45


@dataclass(frozen=True)
class Prior:
    """What the arms of a study know of the variance together.

    Args:
        variance: s0^2; shape (...).
        strengths: values of k; 0 is no prior.
        weights: of these, with a sum of 1; shape (..., strengths).
        apart: which arms it does not speak of; shape (..., arms), or one for all.
    """

    variance: Values
    strengths: tuple[float, ...]
    weights: Values
    apart: npt.NDArray[np.bool_]

    @property
    def strength(self) -> Values:
        """The weighted mean of k."""
        return np.asarray(self.weights @ np.asarray(self.strengths))


def alone(studies: tuple[int, ...] = ()) -> Prior:
    """No prior: the plain paired t-test.

    >>> float(alone().strength)
    0.0
    """
    return Prior(np.zeros(studies), (0.0,), np.ones((*studies, 1)), np.array(True))


def prior(variance: npt.ArrayLike, count: npt.ArrayLike) -> Prior:
    """What the arms know of the variance together; `alone` for one arm.

    Over the arms that do not stand apart, s0^2 = sum of d s^2 / sum of d, and the weight of k is
    proportional to the product of the densities of s^2 / s0^2 under F(d, k d).

    Args:
        variance: s^2 of the paired differences; shape (..., arms).
        count: n, pairs of each arm, 2 or more; shape (arms,), or one number.

    >>> float(prior([1.0, 1.2, 0.8, 1.1, 0.9, 1.0], 5).strength.round(2))
    1.58
    >>> float(prior([1.0, 30.0, 0.1, 4.0, 0.01, 0.2], 5).strength.round(2))
    0.55
    """
    own = np.asarray(variance, dtype=np.float64)
    freedom = np.broadcast_to(np.asarray(count, dtype=np.float64) - 1, own.shape)
    arms = own.shape[-1]
    strengths = tuple(k for k in STRENGTHS if ARMS_PER_STRENGTH * k <= arms)
    if arms < 2:
        return alone(own.shape[:-1])
    from scipy.stats import f

    apart = far_noisier(own)
    counted = np.where(apart, 0.0, freedom)
    mean = (own * counted).sum(-1) / counted.sum(-1)
    ratio = np.maximum(own / np.where(mean > 0, mean, 1.0)[..., None], TINY)
    logs = np.stack(
        [np.where(apart, 0.0, f.logpdf(ratio, freedom, k * freedom)).sum(-1) for k in strengths], -1
    )
    weights = np.exp(logs - logs.max(-1, keepdims=True))
    return Prior(mean, strengths, weights / weights.sum(-1, keepdims=True), apart)


def far_noisier(variance: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which arms stand apart; never more than half of them.

    In ascending order, from the middle on: the first whose variance is more than ``NOISY`` times
    the mean of all before it, and those after it.

    >>> far_noisier([1.0, 0.8, 900.0, 1.3, 0.5]).tolist()
    [False, False, True, False, False]
    """
    own = np.asarray(variance, dtype=np.float64)
    arms = own.shape[-1]
    rising = np.sort(own, -1)
    before = np.cumsum(rising, -1)[..., :-1] / np.arange(1, arms)
    jumps = rising[..., 1:] > NOISY * before
    jumps[..., : (arms + 1) // 2 - 1] = False
    bound = np.where(jumps, rising[..., 1:], np.inf).min(-1, initial=np.inf)
    return np.asarray(own >= bound[..., None])


def upper_tail(
    value: npt.ArrayLike, variance: npt.ArrayLike, count: npt.ArrayLike, known: Prior
) -> Values:
    """The chance that the mean of an arm exceeds a value where there is no difference.

    The weighted mean over k of P(T > value / (s~ / sqrt(n))), T with (k + 1) (n - 1) degrees of
    freedom. Without any variance it is 0, 1/2 or 1.

    Args:
        value: in the unit of the metric; shape (..., arms), as are the others.
        variance: s^2 of the paired differences.
        count: n, 2 or more.
        known: of their study.

    >>> float(upper_tail([0.02], [1e-4], 3, alone()).round(4)[0])
    0.0371
    """
    from scipy.special import stdtr  # a tenth of the time of scipy.stats.t

    asked, pairs = np.asarray(value, dtype=np.float64), np.asarray(count, dtype=np.float64)
    certain = np.where(asked == 0, 0.5, np.where(asked > 0, 0.0, 1.0))
    chance = np.zeros(np.broadcast_shapes(asked.shape, np.shape(variance)))
    for at, strength in enumerate(known.strengths):
        k = np.where(known.apart, 0.0, strength)
        error = standard_error(variance, count, known.variance, k)
        ratio = asked / np.where(error > 0, error, 1.0)
        tail = np.where(error > 0, stdtr((k + 1) * (pairs - 1), -ratio), certain)
        chance = chance + known.weights[..., at, None] * tail
    return np.asarray(chance)


def standard_error(
    variance: npt.ArrayLike, count: npt.ArrayLike, shared: npt.ArrayLike, k: npt.ArrayLike
) -> Values:
    """s~ / sqrt(n), with the shared variance worth k times the arm's own.

    >>> float(standard_error([3.0], 3, 1.0, 1.0).round(4)[0])
    0.8165
    """
    own, k = np.asarray(variance, dtype=np.float64), np.asarray(k, dtype=np.float64)
    both = (k * np.asarray(shared, dtype=np.float64)[..., None] + own) / (k + 1)
    return np.asarray(np.sqrt(both / np.asarray(count, dtype=np.float64)))


def two_sided(
    mean: npt.ArrayLike, variance: npt.ArrayLike, count: npt.ArrayLike, known: Prior
) -> Values:
    """p: the chance of a mean this far from zero where there is no difference.

    >>> float(two_sided([0.02], [1e-4], 3, alone()).round(4)[0])
    0.0742
    >>> one = Prior(np.array(1e-4), (1.0,), np.array([1.0]), np.array(False))
    >>> float(two_sided([0.02], [1e-4], 3, one).round(4)[0])
    0.0257
    """
    far = np.abs(np.asarray(mean, dtype=np.float64))
    return np.asarray(np.minimum(1.0, 2 * upper_tail(far, variance, count, known)))


def half_width(
    variance: npt.ArrayLike, count: npt.ArrayLike, known: Prior, *, confidence: float = 0.95
) -> Values:
    """Half-width of the interval of each arm alone: the mean whose p is 1 - confidence.

    >>> float(half_width([1e-4], 3, alone()).round(4)[0])
    0.0248
    """
    from scipy.stats import t

    tail, pairs = (1 - confidence) / 2, np.asarray(count, dtype=np.float64)
    several = [np.where(known.apart, 0.0, strength) for strength in known.strengths]
    ends = [
        standard_error(variance, count, known.variance, k) * t.isf(tail, (k + 1) * (pairs - 1))
        for k in several
    ]
    low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
    for _ in range(HALVINGS if len(ends) > 1 else 0):
        middle = (low + high) / 2
        below = upper_tail(middle, variance, count, known) > tail
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(high)
