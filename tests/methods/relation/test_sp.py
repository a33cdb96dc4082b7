"""SP: the loop by hand, its taps, defaults, what it refuses."""

import math
from collections.abc import Callable

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import ModelError, RecipeError, WiringError
from stillhouse.methods import plain, sp

Nets = tuple[nn.Module, nn.Module]


def gap(mine: Tensor, theirs: Tensor, batch: object) -> Tensor:
    def rows(x: Tensor) -> Tensor:
        gram = torch.einsum("id,jd->ij", x.flatten(1), x.flatten(1))
        return gram / gram.square().sum(1, keepdim=True).sqrt()

    return 5.0 * (rows(mine) - rows(theirs)).square().sum() / len(mine) ** 2


@pytest.mark.parametrize("where", ["embedding", "relu"])
def test_it_is_the_loop_by_hand(
    where: str,
    train: Batches,
    platform: Platform,
    budget: Settings,
    by_hand: Callable[..., list[float]],
    maps: Callable[[nn.Module, Tensor], Tensor],
    same_weights: Callable[[nn.Module, nn.Module], None],
) -> None:
    mine, theirs, teacher = tiny_net(4, 1), tiny_net(4, 1), tiny_net(6, 2)
    taps = {"student_feature": where, "teacher_feature": where}
    stage = sp(mine, teacher, weight=5.0, label_weight=0.5, **taps)
    history = fit(stage, train, settings=budget, platform=platform).history
    feature = None if where == "embedding" else maps
    values = by_hand(theirs, teacher, gap, feature=feature, label_weight=0.5)
    same_weights(mine, theirs)
    last = values[-len(train) :]
    assert 5.0 * history[-1]["terms"]["similarity"] == pytest.approx(
        math.fsum(last) / len(last), rel=1e-4
    )


def test_the_defaults_are_golden() -> None:
    """CE + 3000 SP: the CIFAR-100 benchmark of CRD."""
    stage = sp(tiny_net(), tiny_net())
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.reads) for t in stage.terms()]
    assert known == [
        ("label", "cross_entropy", 1.0, ("student.logits", "batch.label")),
        ("similarity", "similarity_gap", 3000.0, ("student.embedding", "teacher.embedding")),
    ]
    assert [node.name for node in stage.nodes] == ["student", "teacher"], "no bridge is needed"
    assert (stage.keeps, stage.learners) == ("student", ("student",))


def test_without_its_weight_it_is_plain_training(train: Batches, platform: Platform) -> None:
    mine, theirs = tiny_net(4, 1, dropout=0.3), tiny_net(4, 1, dropout=0.3)
    settings = Settings(epochs=2, seed=1)
    fit(sp(mine, tiny_net(6, 2), weight=0.0), train, settings=settings, platform=platform)
    fit(plain(theirs), train, settings=settings, platform=platform)
    for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


def test_heads_and_taps_may_be_named(train: Batches) -> None:
    stage = sp(tiny_net(), tiny_net(), student_head="fc", head="fc")
    assert [stage.role(name).head for name in ("student", "teacher")] == ["fc", "fc"]
    stage = sp(tiny_net(4, 1), tiny_net(6, 2), student_feature="conv", teacher_feature="bnn")
    with pytest.raises(WiringError, match=r"'teacher.bnn'.*nearest: bn"):
        wire(stage, train.sample())
    with pytest.raises(WiringError, match="comes as a node"):
        sp(tiny_net(), Role("teacher", tiny_net()), head="fc")
    with pytest.raises(ModelError, match=r"head: .*fcc.*nearest: fc"):
        sp(tiny_net(), tiny_net(), student_head="fcc")


def test_settings_out_of_range_are_told() -> None:
    with pytest.raises(RecipeError, match=r"weight is -1.0; it must be at least 0"):
        sp(tiny_net(), tiny_net(), weight=-1.0)
