"""Paired comparisons against scipy and by hand; Holm's correction against its definition."""

import itertools
import random

import pytest
from scipy import stats

from stillhouse.diagnostics.comparisons import holm, judged, paired_t


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
        for at, corrected in enumerate(holm(p)):
            sets = [
                chosen
                for size in range(1, 5)
                for chosen in itertools.combinations(range(4), size)
                if at in chosen
            ]
            truth = max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets)
            assert corrected == pytest.approx(truth)


def test_words() -> None:
    up, down = paired_t([0.02, 0.021, 0.019]), paired_t([-0.02, -0.021, -0.019])
    assert judged(up, 0.049) == "helps"
    assert judged(down, 0.049) == "hurts"
    assert judged(up, 0.05) == "no difference shown"
    assert judged(None, None) == "no control"
    assert judged(paired_t([0.1]), None) == "one seed"
