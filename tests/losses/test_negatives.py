"""Negatives: of other classes, as many as asked, all alike; what is refused."""

from collections import Counter

import pytest
import torch

from stillhouse.errors import WiringError
from stillhouse.losses.negatives import Negatives

LABELS = torch.tensor([7, 3, 3, 9, 7, 3, 9, 9, 9, 7])
"""Ten rows of classes that are no plain counts: of 3, 7 and 9 there are 3, 3 and 4."""


@pytest.mark.parametrize("count", [1, 6, 7, 50])
def test_they_are_rows_of_other_classes(count: int) -> None:
    negatives = Negatives(LABELS, count)
    assert negatives.replaced == (count > 6), "class 9 has six rows of other classes"
    index = torch.arange(10)
    drawn = negatives.draw(index)
    assert drawn.shape == (10, count)
    assert (LABELS[drawn] != LABELS[index][:, None]).all()
    if not negatives.replaced:
        assert all(len(set(row)) == count for row in drawn.tolist())


def test_as_many_as_there_are_is_each_once() -> None:
    drawn = Negatives(LABELS, 6).draw(torch.tensor([3, 6]))
    assert drawn.sort(dim=1).values.tolist() == [[0, 1, 2, 4, 5, 9]] * 2


@pytest.mark.parametrize(("count", "others"), [(3, 7), (2000, 7), (2000, 6)])
def test_all_rows_of_other_classes_are_alike_likely(count: int, others: int) -> None:
    torch.manual_seed(0)
    row = 1 if others == 7 else 3
    negatives = Negatives(LABELS, count)
    draws = 4000 if count == 3 else 6
    drawn = torch.cat([negatives.draw(torch.tensor([row])) for _ in range(draws)]).flatten()
    times = Counter(drawn.tolist())
    assert len(times) == others
    expected = len(drawn) / others
    for seen in times.values():
        assert seen == pytest.approx(expected, abs=5 * expected**0.5)


def test_rows_of_one_batch_are_drawn_each_for_itself() -> None:
    torch.manual_seed(0)
    for count in (3, 40):
        first, second = Negatives(LABELS, count).draw(torch.tensor([1, 2]))
        assert first.tolist() != second.tolist()


def test_the_generator_of_torch_decides() -> None:
    for count in (3, 40):
        negatives = Negatives(LABELS, count)
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(negatives.draw(torch.arange(10)))
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])


def test_its_tables_are_no_part_of_a_checkpoint() -> None:
    assert not Negatives(LABELS, 3).state_dict()


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(WiringError, match="all 4 training rows have one label"):
        Negatives(torch.full((4,), 2), 1)
    with pytest.raises(WiringError, match="count is 0; it must be at least 1"):
        Negatives(LABELS, 0)
