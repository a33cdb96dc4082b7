"""CC with learned embeddings: the loop by hand, and what learns."""

import copy
from itertools import pairwise

import torch
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_tiny, same, trained
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.seeding import seeded
from stillhouse.methods import cc_embedded


def linear(name: str, width: int) -> nn.Linear:
    """As the engine starts the bridge of that name."""
    with seeded(7, "init", name):
        return nn.Linear(width, 16)


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    _, mine, logits = of_tiny(nets["student"], batch)
    _, theirs, _ = frozen(of_tiny, nets["teacher"], batch)
    gaps = (nets["embedded"](mine) - nets["target"](theirs)).abs()
    return labels(logits, batch) + 0.3 * sum((a * b).sum() for a, b in pairwise(gaps)) / 7


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    stage = cc_embedded(tiny_net(4, 1), tiny_net(6, 2), width=16, weight=0.3)
    learning = ["student", "embedded", "target"]
    equals_by_hand(stage, train, objective, learning=learning)


def test_the_map_of_the_teacher_learns_and_the_teacher_does_not(train: Batches) -> None:
    teacher = tiny_net(6, 2)
    before = copy.deepcopy(teacher)
    stage = cc_embedded(tiny_net(4, 1), teacher, width=16)
    trained(stage, train, epochs=1)
    assert not torch.equal(stage.node("target").module.weight, linear("target", 6).weight)
    same(teacher, before)
