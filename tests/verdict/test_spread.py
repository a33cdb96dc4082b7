"""A mean with its interval, against the printed tables of Student's t."""

import math

import pytest

from stillhouse.verdict.spread import spread

# Two-sided quantiles of Student's t as printed in statistical tables, by degrees of freedom.
T_95 = {1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262}


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
