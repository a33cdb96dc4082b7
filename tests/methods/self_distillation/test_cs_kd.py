"""CS-KD: equals a hand-written loop over pairs; the order, its errors and its budget."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.orders import class_pairs
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import DataError, RecipeError
from stillhouse.methods import cs_kd

EPOCHS, T, WEIGHT = 3, 2.0, 1.5


def pairs_of(batches: Batches, epoch: int) -> Tensor:
    return class_pairs(batches.labels, batches.order_seed, epoch)


def test_it_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    student = tiny_net(4, 1)
    net = copy.deepcopy(student).train()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    for epoch in range(EPOCHS):
        rows = class_pairs(train.labels, train.order_seed, epoch)
        for step in range(len(train)):
            batch = train.show(rows[8 * step :][:8], epoch)
            logits = net(batch["batch.image"])
            loss = 0.0
            for at in range(0, 8, 2):
                label = batch["batch.label"][at]
                assert label == batch["batch.label"][at + 1]
                mine = F.log_softmax(logits[at] / T, 0)
                theirs = F.softmax(logits[at + 1].detach() / T, 0)
                soft = (theirs * (theirs.log() - mine)).sum() * T**2
                loss = loss - F.log_softmax(logits[at], 0)[label] + WEIGHT * soft
            (loss / 4).backward()
            optimizer.step()
            optimizer.zero_grad()
    settings = Settings(EPOCHS, optimizer=sgd(0.1), schedule=constant(), channels_last=False)
    fit(cs_kd(student, temperature=T, weight=WEIGHT), train, settings=settings, platform=platform)
    for (name, a), b in zip(student.state_dict().items(), net.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=name)


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
def test_half_a_pair_is_told_before_anything_runs(
    batch: int, world: int, said: str, platform: Platform
) -> None:
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


def test_settings_out_of_range_are_told() -> None:
    with pytest.raises(RecipeError, match=r"temperature is 0\.0; it must be above 0"):
        cs_kd(tiny_net(), temperature=0.0)
