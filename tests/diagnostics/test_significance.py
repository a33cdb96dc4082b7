"""Spread and paired comparisons against scipy and by hand; Holm's correction by its definition."""

import itertools
import math
import random

import numpy as np
import pytest
from scipy import stats

from stillhouse.diagnostics.significance import corrected, holm, judged, paired_t, spread

# Two-sided quantiles of Student's t as printed in statistical tables, by degrees of freedom.
T_95 = {1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262}


def test_paired_t_agrees_with_scipy() -> None:
    draw = random.Random(3)
    for count in (2, 3, 5, 9):
        mine = [draw.gauss(0.93, 0.01) for _ in range(count)]
        theirs = [draw.gauss(0.92, 0.01) for _ in range(count)]
        found = paired_t([a - b for a, b in zip(mine, theirs, strict=True)])
        truth = stats.ttest_rel(mine, theirs)
        interval = truth.confidence_interval(0.95)
        assert found.p == pytest.approx(truth.pvalue, rel=1e-9)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
        assert found.count == count


def test_few_or_equal_pairs() -> None:
    assert paired_t([]) is None
    alone = paired_t([0.02])
    assert (alone.mean, alone.p, alone.low) == (0.02, None, None)
    assert paired_t([0.0, 0.0]).p == 1.0
    assert paired_t([0.25, 0.25, 0.25]).p == 0.0


def test_equal_differences_of_rounded_accuracies_are_no_proof() -> None:
    """One image more in each of three seeds: t = 1 / (sqrt(1/6) / sqrt(3)) = sqrt(18)."""
    step = 1 / 359
    for gains in (
        [step] * 3,
        [301 / 359 - 300 / 359, 290 / 359 - 289 / 359, 280 / 359 - 279 / 359],
    ):
        found = paired_t(gains, step=step)
        assert found.p == pytest.approx(2 * stats.t.sf(18**0.5, 2))
        assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 2) * step / 18**0.5)
    wide = [0.01, 0.02, 0.04]
    assert paired_t(wide, step=step) == paired_t(wide), "a floor, and no more than that"
    assert paired_t([0.0, 0.0, 0.0], step=step).p == 1.0


@pytest.mark.parametrize(("seeds", "images", "arms"), [(3, 1, 12), (3, 2, 20), (5, 3, 12)])
def test_chance_is_called_a_finding_in_one_study_of_twenty(
    seeds: int, images: float, arms: int
) -> None:
    """Studies without any effect; the difference of a seed has so many images of deviation.

    Some arm is called better or worse, in percent of 4,000 studies: with 3 seeds and 1, 2, 3, 6
    images 0, 0, 0.5, 4.2 (without the floor 29, 26, 9.2, 6), with 5 seeds 2.8, 2.5, 4.8, 4.7.
    Here of 100 studies, whose share may be 2.5 standard errors off.
    """
    draw, studies = np.random.default_rng(0), 100
    wrong = 0
    for _ in range(studies):
        rows = np.rint(draw.normal(0, images, (arms, seeds))) / 359
        family = [paired_t(row, step=1 / 359) for row in rows.tolist()]
        words = [judged(one, p) for one, p in zip(family, corrected(family), strict=True)]
        wrong += "helps" in words or "hurts" in words
    assert wrong / studies < 0.05 + 2.5 * (0.05 * 0.95 / studies) ** 0.5


def test_fewer_than_three_pairs_are_not_judged_and_count_for_none() -> None:
    three, two, one = paired_t([0.01, 0.02, 0.03]), paired_t([0.02, 0.02]), paired_t([0.02])
    assert corrected([three, two, one, None]) == [three.p, None, None, None]
    assert judged(two, None) == "two seeds"
    assert judged(two, 0.0) == "two seeds"
    assert two.low is not None, "the interval is shown all the same"


def test_two_pairs_by_hand() -> None:
    """With one degree of freedom T is Cauchy: P(|T| > t) = 1 - 2 atan(t) / pi; t = 2 gives."""
    found = paired_t([0.01, 0.03])  # mean 0.02, s / sqrt(2) = 0.01
    assert found.p == pytest.approx(0.295167235)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([None, 0.04]) == [None, 0.04]


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    """Corrected p(i) is the largest, over all sets that hold i, of set size times smallest p."""
    draw = random.Random(1)
    for _ in range(20):
        p = [draw.random() ** 3 for _ in range(4)]
        for at, found in enumerate(holm(p)):
            sets = [
                chosen
                for size in range(1, 5)
                for chosen in itertools.combinations(range(4), size)
                if at in chosen
            ]
            truth = max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets)
            assert found == pytest.approx(truth)


def test_words() -> None:
    up, down = paired_t([0.02, 0.021, 0.019]), paired_t([-0.02, -0.021, -0.019])
    assert judged(up, 0.049) == "helps"
    assert judged(down, 0.049) == "hurts"
    assert judged(up, 0.05) == "no difference shown"
    assert judged(None, None) == "no control"
    assert judged(paired_t([0.1]), None) == "one seed"


@pytest.mark.parametrize("freedom", sorted(T_95))
def test_the_half_width_is_that_of_the_printed_tables(freedom: int):
    values = [0.9 + 0.01 * ((7 * n) % 5) for n in range(freedom + 1)]
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / freedom)

    found = spread(values)

    assert found.mean == pytest.approx(mean)
    expected = T_95[freedom] * deviation / math.sqrt(len(values))
    assert found.half == pytest.approx(expected, rel=3e-4)


def test_a_higher_confidence_is_wider():
    assert spread([0.1, 0.2, 0.4], confidence=0.99).half > spread([0.1, 0.2, 0.4]).half


def test_one_seed_has_no_interval_and_none_has_no_mean():
    found = spread([None, 0.5])

    assert (found.mean, found.half, found.count) == (0.5, None, 1)
    assert spread([None]) is None
