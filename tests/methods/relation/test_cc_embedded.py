"""CC with learned embeddings: the loop by hand, what learns, its defaults, what it refuses."""

import copy
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.seeding import seeded
from stillhouse.engine.trainer import Settings
from stillhouse.errors import ModelError, RecipeError
from stillhouse.methods import cc_embedded


def linear(name: str, width: int) -> nn.Linear:
    """As the engine starts the bridge of that name."""
    with seeded(7, "init", name):
        return nn.Linear(width, 16)


def test_it_is_the_loop_by_hand(
    train: Batches,
    platform: Platform,
    budget: Settings,
    by_hand: Callable[..., list[float]],
    same_weights: Callable[[nn.Module, nn.Module], None],
) -> None:
    mine, theirs, teacher = tiny_net(4, 1), tiny_net(4, 1), tiny_net(6, 2)
    stage = cc_embedded(mine, teacher, width=16, weight=0.3)
    fit(stage, train, settings=budget, platform=platform)
    own, target = linear("embedded", 4), linear("target", 6)

    def products(s: Tensor, t: Tensor, batch: object) -> Tensor:
        gaps = (own(s) - target(t)).abs()
        return 0.3 * sum((a * b).sum() for a, b in pairwise(gaps)) / 7

    by_hand(theirs, teacher, products, learning=[own, target])
    same_weights(mine, theirs)
    same_weights(stage.node("embedded").module, own)
    same_weights(stage.node("target").module, target)


def test_the_map_of_the_teacher_learns_and_the_teacher_does_not(
    train: Batches, platform: Platform
) -> None:
    teacher = tiny_net(6, 2)
    before = copy.deepcopy(teacher.state_dict())
    stage = cc_embedded(tiny_net(4, 1), teacher, width=16)
    fit(stage, train, settings=Settings(epochs=1, seed=7), platform=platform)
    assert not torch.equal(stage.node("target").module.weight, linear("target", 6).weight)
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_defaults_are_golden() -> None:
    """CE + 0.02 of the benchmark of CRD, in 128 dimensions."""
    stage = cc_embedded(tiny_net(), tiny_net())
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.through) for t in stage.terms()]
    assert known == [
        ("label", "cross_entropy", 1.0, False),
        ("neighbours", "neighbour_products", 0.02, True),
    ]
    assert stage.learners == ("student", "embedded", "target")
    built = [stage.node(name)._build(torch.Size([8, 5])) for name in ("embedded", "target")]
    assert [(m.in_features, m.out_features) for m in built] == [(5, 128), (5, 128)]


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(RecipeError, match=r"width is 0; it must be at least 1"):
        cc_embedded(tiny_net(), tiny_net(), width=0)
    with pytest.raises(ModelError, match=r"head: .*fcc.*nearest: fc"):
        cc_embedded(tiny_net(), tiny_net(), head="fcc")
