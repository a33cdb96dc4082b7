"""The moderated test against its formula in a plain loop, and where it is a t-test scipy's."""

import math

import numpy as np
import pytest
from scipy import stats

from stillhouse.verdict.moderated import (
    STRENGTHS,
    alone,
    half_width,
    prior,
    two_sided,
    upper_tail,
)


def looped(means, variances, counts):
    """p of each arm by the published formula, one float at a time."""
    freedoms = [n - 1 for n in counts]
    shared = sum(s2 * d for s2, d in zip(variances, freedoms, strict=True)) / sum(freedoms)
    strengths = [k for k in (0.25, 0.5, 1, 1.5, 2, 2.5) if k <= len(means) / 3]
    likelihoods = [
        math.prod(
            stats.f(d, k * d).pdf(s2 / shared) for s2, d in zip(variances, freedoms, strict=True)
        )
        for k in strengths
    ]
    found = []
    for mean, s2, n, d in zip(means, variances, counts, freedoms, strict=True):
        chances = []
        for k in strengths:
            d0 = k * d
            moderated = (d0 * shared + d * s2) / (d0 + d)  # Smyth 2004, section 4
            t = mean / math.sqrt(moderated / n)
            chances.append(2 * stats.t(d0 + d).sf(abs(t)))
        weighted = sum(c * w for c, w in zip(chances, likelihoods, strict=True))
        found.append(weighted / sum(likelihoods))
    return found


@pytest.mark.parametrize("arms", [2, 4, 14])
def test_p_is_that_of_the_published_formula(arms: int) -> None:
    draw = np.random.default_rng(arms)
    counts = [3 + at % 3 for at in range(arms)]
    means, variances = draw.normal(0, 2, arms), draw.chisquare(2, arms) / 2
    found = two_sided(means, variances, counts, prior(variances, counts))
    assert found.tolist() == pytest.approx(looped(means, variances, counts), rel=1e-9)


def test_studies_are_judged_each_by_itself() -> None:
    draw = np.random.default_rng(0)
    means, variances = draw.normal(size=(3, 6)), draw.chisquare(2, (3, 6))
    together = two_sided(means, variances, 3, prior(variances, 3))
    for study, mean, variance in zip(together, means, variances, strict=True):
        assert study.tolist() == pytest.approx(
            two_sided(mean, variance, 3, prior(variance, 3)).tolist()
        )


def test_one_arm_has_the_paired_t_test() -> None:
    mine, theirs = [0.71, 0.74, 0.69, 0.75], [0.70, 0.71, 0.68, 0.70]
    gains = np.subtract(mine, theirs)
    known, truth = prior([gains.var(ddof=1)], 4), stats.ttest_rel(mine, theirs)
    assert two_sided([gains.mean()], [gains.var(ddof=1)], 4, known)[0] == pytest.approx(
        truth.pvalue
    )
    interval = truth.confidence_interval(0.95)
    half = half_width([gains.var(ddof=1)], 4, known)[0]
    assert half == pytest.approx((interval.high - interval.low) / 2)


def test_the_interval_ends_where_p_is_five_percent() -> None:
    variances = np.array([1.0, 0.2, 3.0, 0.7, 1.1, 0.01, 2.0])
    known = prior(variances, 3)
    ends = half_width(variances, 3, known)
    assert two_sided(ends, variances, 3, known).tolist() == pytest.approx([0.05] * 7, rel=1e-9)
    wider = half_width(variances, 3, known, confidence=0.99)
    assert (wider > ends).all()


def test_neighbours_move_a_lucky_variance_up_and_an_unlucky_one_down() -> None:
    variances = np.array([1.0, 1.2, 1e-4, 0.9, 1.1, 9.0, 1.0])
    by_itself = half_width(variances, 3, alone())
    shared = half_width(variances, 3, prior(variances, 3))
    assert shared[2] > 5 * by_itself[2]
    assert shared[5] < by_itself[5]


@pytest.mark.parametrize(("arms", "most"), [(2, 0.5), (3, 1.0), (6, 2.0), (9, 2.5), (200, 2.5)])
def test_what_neighbours_are_worth_is_bounded(arms: int, most: float) -> None:
    known = prior(np.ones(arms), 5)
    assert max(known.strengths) == most
    assert most in STRENGTHS
    assert known.weights.sum() == pytest.approx(1.0)


def test_without_any_variance_only_zero_is_no_difference() -> None:
    known = prior([0.0, 0.0], 3)
    assert two_sided([0.1, 0.0], [0.0, 0.0], 3, known).tolist() == [0.0, 1.0]
    assert half_width([0.0, 0.0], 3, known).tolist() == [0.0, 0.0]
    # One arm whose differences are all equal borrows from its neighbours, and is finite.
    variances = [0.0, 1.0, 1.2, 0.8]
    assert 0 < upper_tail([0.1] * 4, variances, 3, prior(variances, 3))[0] < 0.5


def test_an_arm_that_nearly_diverged_stands_apart() -> None:
    variances = np.array([1.0, 1.3, 0.8, 1.1, 0.9, 1.2, 0.7])
    wild = np.append(variances, 4000.0)
    known = prior(wild, 3)
    assert known.apart.tolist() == [False] * 7 + [True]
    assert known.variance == pytest.approx(variances.mean())
    ends = half_width(wild, 3, known)
    assert ends[:7].max() < 3.5, "the others keep their intervals"
    assert ends[7] == pytest.approx(stats.t.ppf(0.975, 2) * (4000 / 3) ** 0.5)
    means = np.full(8, 2.0)
    p = stats.ttest_1samp([2 - 4000**0.5, 2.0, 2 + 4000**0.5], 0).pvalue
    assert two_sided(means, wild, 3, known)[7] == pytest.approx(p)
