"""CS-KD: the loop by hand over pairs; the order, its errors and its budget."""

from dataclasses import replace

import pytest
import torch
from by_hand import Batch, Nets, equals_by_hand, of_tiny, softened
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.orders import class_pairs
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.errors import DataError
from stillhouse.methods import cs_kd

T, WEIGHT = 2.0, 1.5


def pairs_of(batches: Batches, epoch: int) -> Tensor:
    return class_pairs(batches.labels, batches.order_seed, epoch)


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    _, _, logits = of_tiny(nets["student"], batch)
    loss = 0.0
    for at in range(0, 8, 2):
        label = batch["batch.label"][at]
        assert label == batch["batch.label"][at + 1]
        mine, theirs = logits[at], logits[at + 1].detach()
        soft = softened(mine[None], theirs[None], T)
        loss = loss - mine.log_softmax(0)[label] + WEIGHT * soft
    return loss / 4


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    stage = cs_kd(tiny_net(4, 1), temperature=T, weight=WEIGHT)
    assert stage.completed(facts_of(train)).order is class_pairs
    equals_by_hand(stage, train, objective, epochs=3)


def many(labels: list[int], **more: int) -> Batches:
    table = ImageTable(torch.zeros(len(labels), 2, 2, 3, dtype=torch.uint8), torch.tensor(labels))
    return Batches(table, Augment((0.5,) * 3, (0.25,) * 3), **{"batch_size": 4, **more})


def test_two_epochs_show_each_row_as_an_anchor_once() -> None:
    batches = many([0, 1, 2] * 8)
    for first in (0, 2, 8):
        shown = [pairs_of(batches, epoch) for epoch in (first, first + 1)]
        assert [len(rows) for rows in shown] == [24, 24], "an epoch is N rows"
        assert sorted(torch.cat(shown)[::2].tolist()) == list(range(24))
    assert not torch.equal(pairs_of(batches, 0), pairs_of(batches, 2))
    assert torch.equal(pairs_of(batches, 1), pairs_of(batches, 1))


def test_a_partner_is_any_other_row_of_the_class() -> None:
    batches = many([0] * 5 + [3] + [7] * 2)
    met: dict[int, set[int]] = {row: set() for row in range(8)}
    for epoch in range(200):
        for anchor, partner in pairs_of(batches, epoch).view(-1, 2).tolist():
            met[anchor].add(partner)
    assert met == {
        **{row: set(range(5)) - {row} for row in range(5)},
        5: {5},  # the only row of its class
        6: {7},
        7: {6},
    }


def test_an_odd_number_of_rows_leaves_none_out_for_good() -> None:
    batches = many([0] * 7, batch_size=2)
    assert [len(pairs_of(batches, epoch)) for epoch in range(2)] == [6, 6]
    shown = torch.cat([pairs_of(batches, epoch)[::2] for epoch in range(8)])
    assert set(shown.tolist()) == set(range(7))


@pytest.mark.parametrize(
    ("batch", "world", "said"),
    [
        (5, 1, "a batch of 5 rows is 5 rows, .* multiple of 2, "),
        (6, 2, "a batch of 6 rows is 3 rows on each of 2 processes, .* multiple of 4, "),
    ],
)
def test_half_a_pair_is_told_before_anything_runs(batch: int, world: int, said: str) -> None:
    batches = many([0] * 12, batch_size=batch, world=world)
    with pytest.raises(DataError, match=said):
        cs_kd(tiny_net()).completed(facts_of(batches))


def test_processes_get_the_pairs_of_one_global_batch() -> None:
    alone = many([0, 1] * 8, batch_size=8)
    for step, whole in enumerate(alone.epoch(1, order=class_pairs)):
        parts = [
            list(replace(alone, rank=rank, world=2).epoch(1, order=class_pairs))[step]
            for rank in range(2)
        ]
        both = torch.cat([part["batch.index"] for part in parts])
        assert torch.equal(both, whole["batch.index"])
        assert all(torch.equal(p["batch.label"][::2], p["batch.label"][1::2]) for p in parts)
