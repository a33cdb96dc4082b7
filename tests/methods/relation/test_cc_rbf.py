"""CC with a Gaussian kernel: the loop by hand, its defaults, what it refuses."""

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
from stillhouse.errors import ModelError, RecipeError
from stillhouse.methods import cc_rbf


def gap(mine: Tensor, theirs: Tensor, batch: object) -> Tensor:
    def kernel(x: Tensor) -> Tensor:
        c = torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=2)
        return math.exp(-1.2) * (1 + 1.2 * c + 0.72 * c**2 + 0.288 * c**3)

    return 10.0 * (kernel(mine) - kernel(theirs)).square().mean()


def test_it_is_the_loop_by_hand(
    train: Batches,
    platform: Platform,
    budget: Settings,
    by_hand: Callable[..., list[float]],
    same_weights: Callable[[nn.Module, nn.Module], None],
) -> None:
    """At gamma 0.6 and the third order: (2 gamma)^p / p! is 1.2, 0.72, 0.288."""
    mine, theirs, teacher = tiny_net(4, 1), tiny_net(4, 1), tiny_net(6, 2)
    stage = cc_rbf(mine, teacher, gamma=0.6, order=3, weight=10.0)
    history = fit(stage, train, settings=budget, platform=platform).history
    last = by_hand(theirs, teacher, gap)[-len(train) :]
    same_weights(mine, theirs)
    assert 10.0 * history[-1]["terms"]["correlation"] == pytest.approx(
        math.fsum(last) / len(last), rel=1e-3
    )


def test_the_defaults_are_golden() -> None:
    """The code of Knowledge-Distillation-Zoo, and the weight of its example script."""
    stage = cc_rbf(tiny_net(), tiny_net())
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.options) for t in stage.terms()]
    assert known == [
        ("label", "cross_entropy", 1.0, {}),
        ("correlation", "correlation_gap", 100.0, {"gamma": 0.4, "order": 2}),
    ]
    assert [node.name for node in stage.nodes] == ["student", "teacher"], "no bridge is needed"


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(RecipeError) as caught:
        cc_rbf(tiny_net(), tiny_net(), gamma=0.0, order=0)
    assert caught.value.problems == (
        "gamma is 0.0; it must be above 0",
        "order is 0; it must be at least 1",
    )
    with pytest.raises(ModelError, match=r"head: .*fcc.*nearest: fc"):
        cc_rbf(tiny_net(), tiny_net(), student_head="fcc")
