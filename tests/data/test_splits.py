from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.splits import stratified_limit, stratified_split
from stillhouse.errors import DataError


@st.composite
def labels_of(draw, smallest=2):
    counts = draw(st.lists(st.integers(smallest, 40), min_size=2, max_size=8))
    labels = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(draw(st.integers(0, 1000))).shuffle(labels)
    return torch.from_numpy(labels)


def check_a_partition(labels, kept, carved):
    assert torch.equal(torch.cat([kept, carved]).sort().values, torch.arange(len(labels)))
    for rows in (kept, carved):
        assert rows.dtype == torch.int64
        assert torch.equal(rows, rows.sort().values)
    assert set(labels[kept].tolist()) == set(labels.tolist())


@given(labels_of(), st.floats(0.02, 0.5), st.integers(0, 2**40))
def test_share_holds_for_every_class(labels, part, seed):
    if part * len(labels) <= 0.5:
        return  # rounds to nothing, which is refused
    kept, carved = stratified_split(labels, part, seed)
    check_a_partition(labels, kept, carved)
    assert abs(len(carved) - part * len(labels)) <= 0.5 + 1e-9
    exact = torch.bincount(labels).double() * part
    got = torch.bincount(labels[carved], minlength=len(exact))
    assert (got - exact).abs().max() <= 1 + 1e-9


@given(labels_of(), st.data())
def test_number_of_rows_is_exact(labels, data):
    part = data.draw(st.integers(1, len(labels) // 3))
    kept, carved = stratified_split(labels, part, data.draw(st.integers(0, 99)))
    check_a_partition(labels, kept, carved)
    assert len(carved) == part
    exact = torch.bincount(labels).double() * part / len(labels)
    got = torch.bincount(labels[carved], minlength=len(exact))
    assert (got - exact).abs().max() <= 1 + 1e-9


@given(labels_of(smallest=1), st.data())
def test_limit_keeps_every_class(labels, data):
    per_class = torch.bincount(labels)
    n = data.draw(st.integers(len(per_class), len(labels) + 5))
    rows = stratified_limit(labels, n, data.draw(st.integers(0, 99)))
    assert len(rows) == min(n, len(labels))
    assert torch.equal(rows, rows.unique())
    got = torch.bincount(labels[rows], minlength=len(per_class))
    assert got.min() >= 1
    exact = per_class.double() * n / len(labels)
    if exact.min() >= 1 and n < len(labels):
        assert (got - exact).abs().max() <= 1 + 1e-9


def test_rows_are_those_of_raw_pcg64():
    labels = torch.tensor([0, 1] * 10)
    keys = np.random.PCG64(5).random_raw(22)
    expected = []
    for number in (0, 1):
        rows = [row for row in range(20) if labels[row] == number]
        expected += sorted(rows, key=lambda row: keys[row])[:3]
    assert stratified_split(labels, 0.3, 5)[1].tolist() == sorted(expected)
    assert stratified_split(labels, 0.3, 5)[1].tolist() == [4, 7, 8, 11, 16, 19]


def test_ties_do_not_always_favour_the_first_classes():
    labels = torch.arange(40).repeat_interleave(8)  # each class could give 0.8 of a row
    chosen = {tuple(labels[stratified_split(labels, 0.1, seed)[1]].tolist()) for seed in range(5)}
    assert len(chosen) == 5
    assert all(len(classes) == 32 for classes in chosen)


def test_seed_matters_and_repeats():
    labels = torch.arange(10).repeat(30)
    first, again, other = (stratified_split(labels, 0.2, seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_share_is_meant_in_decimal():
    labels = torch.tensor([0, 1] * 5)
    assert Fraction(0.35) * 10 < Fraction(7, 2)  # so the nearest double would give 3 rows
    assert len(stratified_split(labels, 0.35, 0)[1]) == 4


def test_row_left_over_goes_to_the_largest_remainder():
    labels = torch.tensor([0] * 11 + [1] * 19)  # a tenth: 1.1 and 1.9 rows
    for seed in range(5):
        carved = stratified_split(labels, 0.1, seed)[1]
        assert torch.bincount(labels[carved]).tolist() == [1, 2]


def test_nothing_is_carved_for_zero():
    kept, carved = stratified_split(torch.tensor([0, 1]), 0, 0)
    assert kept.tolist() == [0, 1]
    assert carved.tolist() == []
    assert stratified_split(torch.tensor([0, 1]), 0.0, 0)[1].dtype == torch.int64


def test_smaller_limit_is_nearly_a_subset():
    labels = torch.arange(10).repeat(100)
    small, large = (set(stratified_limit(labels, n, 3).tolist()) for n in (100, 500))
    assert small < large


@pytest.mark.parametrize("part", [1.0, -0.1, 1.5, True, "0.1", 20, -1, float("nan")])
def test_part_out_of_range(part):
    with pytest.raises(DataError, match="validation"):
        stratified_split(torch.tensor([0, 1] * 10), part, 0, what="validation")


def test_small_class_is_named():
    labels = torch.tensor([0] * 10 + [1])
    with pytest.raises(DataError, match=r"too few: 'wolf' \(1 row\)"):
        stratified_split(labels, 0.2, 0, classes=["fox", "wolf"])


def test_classes_that_cannot_give_so_much_are_named():
    labels = torch.tensor([0, 0, 1, 1])
    with pytest.raises(DataError, match=r"asks for 3 of 4 rows.*'0' \(2 rows\).*Ask for 2"):
        stratified_split(labels, 3, 0)


def test_share_that_rounds_to_nothing():
    with pytest.raises(DataError, match=r"0\.1 of 4 rows, which is none"):
        stratified_split(torch.tensor([0, 0, 1, 1]), 0.1, 0)


def test_limit_below_one_row_per_class():
    with pytest.raises(DataError, match="fewer than the 3 classes"):
        stratified_limit(torch.tensor([0, 1, 2, 2]), 2, 0)


def test_negative_seed():
    with pytest.raises(DataError, match="seed of a split is -1"):
        stratified_split(torch.tensor([0, 0, 1, 1]), 2, -1)


def test_a_class_of_one_row_may_go_without_validation():
    with pytest.raises(DataError, match=r"or go without one \(validation: 0\)"):
        stratified_split(torch.tensor([0, 0, 1]), 0.5, 0, what="validation")
