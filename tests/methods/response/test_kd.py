"""Hinton KD and plain training: objectives by hand, defaults, what they refuse."""

import math

import pytest
import torch
from tiny import tiny_net
from torch import nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError
from stillhouse.methods import kd, plain


def test_the_objective_is_the_published_sum(train: Batches) -> None:
    student, teacher, batch = tiny_net(4, 1).eval(), tiny_net(6, 2).eval(), train.sample(8)
    temperature, rows = 3.0, len(batch["batch.label"])
    stage = kd(student, teacher, temperature=temperature, weight=0.6, label_weight=0.3)
    signals = wire(stage, batch).seen
    value = sum(term.weight_at(0.0) * term.value(signals).item() for term in stage.terms())

    def softmax(row: list[float], soft: float) -> list[float]:
        powers = [math.exp(z / soft) for z in row]
        return [power / sum(powers) for power in powers]

    total = 0.0
    with torch.no_grad():
        mine, theirs = student(batch["batch.image"]), teacher(batch["batch.image"])
    for s, t, y in zip(mine.tolist(), theirs.tolist(), batch["batch.label"].tolist(), strict=True):
        total += 0.3 * -math.log(softmax(s, 1.0)[y])
        pairs = zip(softmax(t, temperature), softmax(s, temperature), strict=True)
        total += 0.6 * temperature**2 * sum(p * math.log(p / q) for p, q in pairs)
    assert value == pytest.approx(total / rows, rel=1e-5)


def test_the_defaults_are_golden() -> None:
    """0.1 CE + 0.9 * 16 KL at T = 4: the CIFAR-100 benchmark of CRD."""
    stage = kd(tiny_net(), tiny_net())
    known = [(t.name, t.loss.__name__, t.weight_at(0.0), t.options) for t in stage.terms()]
    assert known == [("label", "cross_entropy", 0.1, {}), ("kd", "kl", 0.9, {"temperature": 4.0})]
    assert [(t.name, t.weight_at(0.0)) for t in plain(tiny_net()).terms()] == [("label", 1.0)]
    assert stage.measures == {"student": "student.logits"}
    assert stage.keeps == "student"
    assert stage.learners == ("student",)


def test_weight_0_is_plain_training(train: Batches, platform: Platform) -> None:
    """The control differs from the distilled student in the weight of one term, and in no bit."""
    mine, theirs = tiny_net(4, 1, dropout=0.3), tiny_net(4, 1, dropout=0.3)
    settings = Settings(epochs=2, seed=1)
    fit(
        kd(mine, tiny_net(6, 2), weight=0.0, label_weight=1.0),
        train,
        settings=settings,
        platform=platform,
    )
    fit(plain(theirs), train, settings=settings, platform=platform)
    for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_teacher_may_come_as_a_node() -> None:
    teacher = Role("teacher", tiny_net(), head="fc")
    assert kd(tiny_net(), teacher).node("teacher") is teacher


def test_all_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        kd(nn.Linear(1, 1), nn.Linear(1, 1), temperature=0.0, weight=-1.0)
    assert caught.value.problems == (
        "temperature is 0.0; it must be above 0",
        "weight is -1.0; it must be at least 0",
    )
    with pytest.raises(RecipeError, match="temperature is nan"):
        kd(nn.Linear(1, 1), nn.Linear(1, 1), temperature=math.nan)
