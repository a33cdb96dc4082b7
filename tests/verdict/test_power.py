"""What seeds can show, against a simulation of the test itself."""

import numpy as np
import pytest

from stillhouse.verdict.moderated import prior, two_sided
from stillhouse.verdict.power import shown_by, smallest_gain


@pytest.mark.parametrize(("seeds", "arms"), [(3, 1), (5, 1), (3, 6), (3, 14), (5, 14)])
def test_the_smallest_gain_is_found_eight_times_in_ten(seeds: int, arms: int) -> None:
    draw = np.random.default_rng(0)
    gains = np.sqrt(0.5) * (
        draw.standard_normal((2000, 1, seeds)) + draw.standard_normal((2000, arms, seeds))
    )
    gains[:, 0] += smallest_gain(seeds, arms)
    mean, variance = gains.mean(-1), gains.var(-1, ddof=1)
    p = two_sided(mean, variance, seeds, prior(variance, seeds))[:, 0]
    assert (p < 0.05 / arms).mean() == pytest.approx(0.8, abs=0.06)


def test_claims_need_less_than_all_arms_and_more_seeds_less() -> None:
    assert smallest_gain(3, 14, 1) < smallest_gain(3, 14, 2) < smallest_gain(3, 14)
    assert smallest_gain(10, 14) < smallest_gain(5, 14)
    assert smallest_gain(2, 14) is None


def test_it_is_said_in_a_line() -> None:
    assert shown_by(3, 14, 2).startswith(
        "3 seeds and 14 arms, 2 of them claims: a gain of about 2."
    )
    assert shown_by(1) == "1 seed is too few to tell: no word is said of a gain; use 3 or more"
