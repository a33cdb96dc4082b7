"""Pairs that are drawn of many, against all of them."""

import numpy as np
import pytest

from stillhouse.errors import DataError
from stillhouse.verification.drawn import _triangle, drawn_pairs
from stillhouse.verification.pairs import all_pairs


def keys(pairs):
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


@pytest.mark.parametrize(
    ("people", "most", "same"),
    [
        (np.arange(60) % 5, 400, 200),  # 330 of one person, half of the most are taken
        (np.arange(60) % 5, 1700, 330),  # nearly all: all of one person and 1,370 of 1,440
        (np.arange(60) % 30, 400, 30),  # there are not more of one person
        (np.repeat([0, 1], [58, 2]), 400, 284),  # there are but 116 of different people
    ],
)
def test_a_part_of_all_pairs(people, most, same):
    people = np.random.default_rng(0).permutation(people)
    pairs, there = drawn_pairs(people, most, seed=3)
    every = all_pairs(people)
    assert there == len(every) == 1770
    assert len(pairs) == len(set(keys(pairs))) == most
    assert keys(pairs) == sorted(keys(pairs))
    assert set(keys(pairs)) < set(keys(every))
    assert (pairs.same == (people[pairs.first] == people[pairs.second])).all()
    assert pairs.same.sum() == same
    assert keys(drawn_pairs(people, most, seed=3)[0]) == keys(pairs)
    assert keys(drawn_pairs(people, most, seed=4)[0]) != keys(pairs)


def test_all_where_there_are_not_more():
    pairs, there = drawn_pairs([0, 0, 1], 3)
    assert (keys(pairs), there) == ([(0, 1), (0, 2), (1, 2)], 3)


def test_each_pair_is_as_likely():
    people, drawn = np.arange(12) % 3, np.zeros((12, 12))
    for seed in range(600):
        pairs, _ = drawn_pairs(people, 20, seed)
        drawn[pairs.first, pairs.second] += 1
    every = all_pairs(people)
    for kind in (True, False):
        count = drawn[every.first, every.second][every.same == kind]
        expected = 600 * 10 / len(count)
        chi = ((count - expected) ** 2 / expected).sum()
        assert chi < 2 * len(count)


def test_numbers_of_pairs_are_exact_far_beyond_what_a_root_holds():
    for high in (2, 3, 1 << 20, (1 << 30) + 7):
        for low in (0, high - 1):
            number = np.array([high * (high - 1) // 2 + low])
            assert [side.item() for side in _triangle(number)] == [low, high]


@pytest.mark.parametrize("people", [np.arange(100), np.zeros(100, dtype=np.int64)])
def test_pairs_of_one_kind_are_refused(people):
    with pytest.raises(DataError, match="verification compares images of the same"):
        drawn_pairs(people, 50)
