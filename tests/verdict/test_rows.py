"""McNemar's test by counting every outcome; the two-way interval by its coverage and by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from stillhouse.verdict.rows import mcnemar, two_way


@pytest.mark.parametrize(("gained", "lost"), [(6, 0), (5, 2), (1, 7), (3, 3), (0, 0)])
def test_mcnemar_counts_every_way_the_discordant_rows_could_have_fallen(gained, lost) -> None:
    mine = [1] * gained + [0] * lost + [1, 0]
    theirs = [0] * gained + [1] * lost + [1, 0]
    found = mcnemar(mine, theirs)
    ways = [sum(way) for way in itertools.product((0, 1), repeat=gained + lost)]
    far = abs(2 * gained - gained - lost)
    truth = sum(abs(2 * way - gained - lost) >= far for way in ways) / len(ways)
    assert (found.gained, found.lost) == (gained, lost)
    assert found.p == pytest.approx(truth)


def test_the_parts_of_the_error_by_hand() -> None:
    draw = np.random.default_rng(2)
    mine, theirs = draw.random((4, 50)) < 0.8, draw.random((4, 50)) < 0.6
    gain = mine.astype(float) - theirs
    found = two_way(mine, theirs, resamples=4000)
    assert found.mean == pytest.approx(gain.mean())
    seeds = found.over_seeds**2
    rows = found.over_rows**2
    assert seeds == pytest.approx(gain.mean(1).var(ddof=1) / 4)
    assert rows == pytest.approx(gain.mean(0).var(ddof=1) / 50)
    # Owen 2007: what is of neither counts in both parts and once more in resampling both.
    left = gain - gain.mean(0) - gain.mean(1, keepdims=True) + gain.mean()
    neither = (left**2).mean() * 4 / 3 / 200
    nu = (seeds + rows) ** 2 / (seeds**2 / 3 + rows**2 / 49)
    error = (found.high - found.mean) / stats.t.ppf(0.975, nu)
    assert error**2 == pytest.approx(seeds + rows + neither, rel=0.1)


def test_the_interval_covers_other_seeds_and_other_rows() -> None:
    draw, covered, studies = np.random.default_rng(5), 0, 100
    for _ in range(studies):
        by_row = draw.normal(0, 0.5, (1, 200))
        by_seed = draw.normal(0, 0.03, (3, 1))
        gain = by_row + by_seed + draw.normal(0, 0.3, (3, 200))
        found = two_way(gain, np.zeros_like(gain), resamples=100)
        covered += found.low <= 0 <= found.high
    assert covered / studies >= 0.92


def test_equal_shares_of_few_rows_may_be_equal_by_rounding_alone() -> None:
    right = np.tile([1, 0, 1, 1], (3, 1))
    found = two_way(right, right, step=1 / 4)
    error = ((1 / 4) ** 2 / 6 / 3) ** 0.5
    assert found.over_seeds == pytest.approx(error)
    assert found.high == pytest.approx(stats.t.ppf(0.975, 2) * error) == -found.low


def test_one_seed_has_rows_only() -> None:
    found = two_way([[1, 1, 0, 1]], [[0, 1, 0, 0]])
    assert (found.mean, found.low, found.over_seeds) == (0.5, None, None)
    assert found.over_rows == pytest.approx((1 / 3) ** 0.5 / 2)
    with pytest.raises(ValueError, match=r"shapes \(1, 4\) and \(1, 3\)"):
        two_way([[1, 1, 0, 1]], [[0, 1, 0]])


def test_other_rows_never_narrow_what_the_seeds_say() -> None:
    """Few seeds and many rows: the rows' degrees of freedom would make it narrower."""
    draw = np.random.default_rng(5)
    for _ in range(20):
        mine, theirs = (draw.random((3, 300)) < share for share in (0.8, 0.7))
        found, gains = two_way(mine, theirs, resamples=200), mine.mean(1) - theirs.mean(1)
        half = stats.t.ppf(0.975, 2) * gains.std(ddof=1) / 3**0.5
        assert found.high - found.mean >= half - 1e-9
