"""Holm's correction by hand, by its definition, and by families."""

import itertools
import random

import pytest

from stillhouse.verdict.corrections import holm, holm_by_family


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


def test_claims_are_corrected_by_themselves() -> None:
    p = [0.02, None, 0.03, 0.01, 0.2]
    assert holm_by_family(p) == holm(p)
    primary = [True, True, False, False, False]
    assert holm_by_family(p, primary) == pytest.approx([0.02, None, 0.06, 0.03, 0.2])
