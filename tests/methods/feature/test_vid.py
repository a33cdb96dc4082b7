"""VID: the loop by hand, and variances that learn."""

import copy

import pytest
import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, modules, of_toy, trained
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import facts_of
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import vid
from stillhouse.testing import check_method
from stillhouse.testing.toy import taught, toy_batches, untaught


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    *mine, logits = of_toy(nets["student"], batch)
    *theirs, _ = frozen(of_toy, nets["teacher"], batch)
    value = 0.7 * labels(logits, batch)
    for level, (s, t) in enumerate(zip(mine, theirs, strict=True), start=1):
        first, _, second, _, third = nets[f"mean{level}"].layers
        hidden = F.conv2d(F.conv2d(s, first.weight).relu(), second.weight).relu()
        mean = F.conv2d(hidden, third.weight)
        variance = (torch.log(1 + nets[f"vid{level}"].raw.exp()) + 1e-5)[None, :, None, None]
        value = value + 2.0 * (0.5 * ((mean - t) ** 2 / variance + variance.log())).mean()
    return value


def test_it_equals_a_loop_by_hand() -> None:
    stage = vid(untaught(4), taught(6), weight=2.0, label_weight=0.7, variance=3.0)
    learning = ["student", "mean1", "vid1", "mean2", "vid2"]
    stage, _ = equals_by_hand(
        stage, toy_batches(), objective, learning=learning, tolerance=(2e-5, 2e-4)
    )
    assert [modules(stage)[name].raw.shape for name in ("vid1", "vid2")] == [(6,), (6,)]


def test_the_variances_learn(platform: Platform) -> None:
    """A benchmark toolkit keeps them in a plain list, out of its optimiser: they stay at 5."""
    train = toy_batches()
    stage = vid(untaught(4), taught(6)).completed(facts_of(train))
    with training(stage, train, Settings(), platform) as trainer:
        losses = [module for name, module in modules(stage).items() if name.startswith("vid")]
        assert [loss.variance().tolist() for loss in losses] == [pytest.approx([5.0] * 6)] * 2
        known = {id(p) for g in trainer.steppers[0].optimizer.param_groups for p in g["params"]}
        assert {id(loss.raw) for loss in losses} <= known
        before = copy.deepcopy([loss.raw for loss in losses])
        next(trainer.steps(0))
        assert all((a != b.raw).all() for a, b in zip(before, losses, strict=True))


def test_maps_of_other_sizes_pair_up(train: Batches, platform: Platform) -> None:
    """The larger is averaged to the smaller."""
    stage = vid(untaught(4), taught(6), pairs=(("relu", "down"), ("down", "relu")))
    trained(stage, train, epochs=1)
    with training(stage, train, Settings(), platform) as trainer:
        shapes = {
            k: tuple(v.shape[1:])
            for k, v in trainer.objective.wiring.seen.items()
            if k[:4] != "batc"
        }
    check_method(vid, options={"pairs": (("down", "relu"), ("down", "down"))}, widths=[(4, 6)])
    assert shapes["mean1"] == shapes["theirs1"] == shapes["mean2"] == shapes["theirs2"] == (6, 4, 4)
