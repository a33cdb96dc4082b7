"""PKT: the loop by hand, its defaults, what it refuses."""

import math
from collections.abc import Callable

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import ModelError, RecipeError
from stillhouse.methods import pkt


def divergence(mine: Tensor, theirs: Tensor, batch: object) -> Tensor:
    def probabilities(x: Tensor) -> Tensor:
        cosines = torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=2)
        return (cosines + 1) / (cosines + 1).sum(1, keepdim=True)

    q, p = probabilities(theirs), probabilities(mine)
    return 300.0 * (q * ((q + 1e-7) / (p + 1e-7)).log()).mean()


def test_it_is_the_loop_by_hand(
    train: Batches,
    platform: Platform,
    budget: Settings,
    by_hand: Callable[..., list[float]],
    same_weights: Callable[[nn.Module, nn.Module], None],
) -> None:
    mine, theirs, teacher = tiny_net(4, 1), tiny_net(4, 1), tiny_net(6, 2)
    history = fit(
        pkt(mine, teacher, weight=300.0), train, settings=budget, platform=platform
    ).history
    last = by_hand(theirs, teacher, divergence)[-len(train) :]
    same_weights(mine, theirs)
    assert 300.0 * history[-1]["terms"]["neighbours"] == pytest.approx(
        math.fsum(last) / len(last), rel=1e-3
    )


def test_the_defaults_are_golden() -> None:
    """CE + 30000 PKT on penultimate vectors: the CIFAR-100 benchmark of CRD."""
    stage = pkt(tiny_net(), tiny_net())
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.reads) for t in stage.terms()]
    assert known == [
        ("label", "cross_entropy", 1.0, ("student.logits", "batch.label")),
        ("neighbours", "cosine_kernel_kl", 30000.0, ("student.embedding", "teacher.embedding")),
    ]
    assert [node.name for node in stage.nodes] == ["student", "teacher"], "no bridge is needed"


def test_a_tap_may_be_named_in_place_of_the_embedding(train: Batches) -> None:
    stage = pkt(tiny_net(4, 1), tiny_net(6, 2), student_feature="bn", teacher_feature="relu")
    assert {"student.bn", "teacher.relu"} <= set(wire(stage, train.sample()).seen)


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(RecipeError, match=r"label_weight is -0.1; it must be at least 0"):
        pkt(tiny_net(), tiny_net(), label_weight=-0.1)
    with pytest.raises(ModelError, match=r"head: .*fcc.*nearest: fc"):
        pkt(tiny_net(), tiny_net(), head="fcc")
