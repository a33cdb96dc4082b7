"""VID: the objective by hand, and variances that learn."""

import copy

import pytest
import torch
import torch.nn.functional as F
from stage_by_hand import Nets, equals_by_hand, modules
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings, training
from stillhouse.errors import RecipeError
from stillhouse.methods import vid
from stillhouse.testing import check_method
from stillhouse.testing.toy import ToyNet, taught, toy_batches, untaught

PAIRS = (("relu", "relu"), ("down", "down"))


def maps(net: ToyNet, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    first = net.relu(net.bn(net.conv(image)))
    last = net.down(first)
    return first, last, net.fc(net.drop(last.mean((2, 3))))


def objective(nets: Nets, image: Tensor, label: Tensor, epoch: float) -> Tensor:
    *mine, logits = maps(nets["student"], image)
    with torch.no_grad():
        *theirs, _ = maps(nets["teacher"], image)
    value = 0.7 * F.cross_entropy(logits, label)
    for level, (s, t) in enumerate(zip(mine, theirs, strict=True), start=1):
        first, _, second, _, third = nets[f"mean{level}"].layers
        hidden = F.conv2d(F.conv2d(s, first.weight).relu(), second.weight).relu()
        mean = F.conv2d(hidden, third.weight)
        variance = (torch.log(1 + nets[f"vid{level}"].raw.exp()) + 1e-5)[None, :, None, None]
        value = value + 2.0 * (0.5 * ((mean - t) ** 2 / variance + variance.log())).mean()
    return value


def test_it_equals_a_hand_written_loop(platform: Platform) -> None:
    student, teacher = untaught(4), taught(6)
    stage = vid(student, teacher, weight=2.0, label_weight=0.7, variance=3.0)
    nets = equals_by_hand(stage, toy_batches(), platform, objective)
    assert nets["vid1"].raw.shape == nets["vid2"].raw.shape == (6,)


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
    fit(stage, train, settings=Settings(epochs=1), platform=platform)
    with training(stage, train, Settings(), platform) as trainer:
        shapes = {
            k: tuple(v.shape[1:])
            for k, v in trainer.objective.wiring.seen.items()
            if k[:4] != "batc"
        }
    check_method(vid, options={"pairs": (("down", "relu"), ("down", "down"))}, widths=[(4, 6)])
    assert shapes["mean1"] == shapes["theirs1"] == shapes["mean2"] == shapes["theirs2"] == (6, 4, 4)


def test_its_defaults_and_pairs() -> None:
    stage = vid(untaught(4), taught(6), pairs=PAIRS)
    assert [(t.name, t.weight) for t in stage.terms()] == [("label", 1), ("vid1", 1), ("vid2", 1)]
    assert stage.learners == ("student", "mean1", "mean2")
    found = vid(untaught(4), taught(6)).completed(facts_of(toy_batches()))
    assert found.notes["pairs"] == "relu - relu, down - down"
    with pytest.raises(RecipeError, match="variance is 1e-06; it must be above 1e-05"):
        vid(untaught(4), taught(6), variance=1e-6)
