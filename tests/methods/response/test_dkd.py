"""DKD: the objective by hand, its warm-up, defaults, what it refuses."""

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
from stillhouse.methods import dkd, kd, plain


def softmax(row: list[float], soft: float = 1.0) -> list[float]:
    powers = [math.exp(z / soft) for z in row]
    return [power / sum(powers) for power in powers]


def divergence(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize(("epoch", "grown"), [(0.0, 0.0), (2.5, 0.5), (5.0, 1.0), (9.0, 1.0)])
def test_the_objective_is_the_published_sum(epoch: float, grown: float, train: Batches) -> None:
    student, teacher, batch = tiny_net(4, 1).eval(), tiny_net(6, 2).eval(), train.sample(8)
    stage = dkd(
        student, teacher, alpha=0.5, beta=3.0, temperature=2.0, label_weight=0.7, warmup=5.0
    )
    signals = wire(stage, batch).seen
    value = sum(term.weight_at(epoch) * term.value(signals).item() for term in stage.terms())
    with torch.no_grad():
        mine, theirs = student(batch["batch.image"]), teacher(batch["batch.image"])
    total, labels = 0.0, batch["batch.label"].tolist()
    for s, t, y in zip(mine.tolist(), theirs.tolist(), labels, strict=True):
        q, p = softmax(s, 2.0), softmax(t, 2.0)
        target = divergence([p[y], 1 - p[y]], [q[y], 1 - q[y]])
        others = divergence(
            softmax([z for c, z in enumerate(t) if c != y], 2.0),
            softmax([z for c, z in enumerate(s) if c != y], 2.0),
        )
        total -= 0.7 * math.log(softmax(s)[y])
        total += grown * 4.0 * (0.5 * target + 3.0 * others)
    assert value == pytest.approx(total / len(labels), rel=1e-5)


def test_the_defaults_are_golden() -> None:
    """CE + min(epoch / 20, 1) * 16 (TCKD + 8 NCKD) at T = 4: the authors' CIFAR-100 benchmark."""
    stage = dkd(tiny_net(), tiny_net())
    label, parts = stage.terms()
    assert (label.name, label.loss.__name__, label.weight_at(0.0)) == ("label", "cross_entropy", 1)
    assert (parts.name, parts.loss.__name__) == ("dkd", "decoupled_kl")
    assert parts.options == {"alpha": 1.0, "beta": 8.0, "temperature": 4.0}
    grown = [parts.weight_at(epoch) for epoch in (0.0, 1.0, 10.0, 20.0, 239.0)]
    assert grown == [0.0, 0.05, 0.5, 1.0, 1.0]
    assert parts.reads == ("student.logits", "teacher.logits", "batch.label")
    assert (stage.keeps, stage.learners) == ("student", ("student",))
    assert [t.weight_at(0.0) for t in dkd(tiny_net(), tiny_net(), warmup=0).terms()] == [1.0, 1.0]


def test_the_warm_up_goes_with_the_steps(train: Batches, platform: Platform) -> None:
    stage = dkd(tiny_net(4, 1), tiny_net(6, 2), warmup=2.0)
    history = fit(stage, train, settings=Settings(epochs=4), platform=platform).history
    grown = [record["weights"]["dkd"] for record in history]
    assert grown == sorted(grown)
    assert 0.0 < grown[0] < 1.0
    assert grown[-1] == 1.0
    assert all(record["weights"]["label"] == 1.0 for record in history)


@pytest.mark.parametrize("off", [{"alpha": 0.0, "beta": 0.0}, {"warmup": 1e30}])
def test_without_its_parts_it_is_plain_training(
    off: dict[str, float], train: Batches, platform: Platform
) -> None:
    mine, theirs = tiny_net(4, 1, dropout=0.3), tiny_net(4, 1, dropout=0.3)
    settings = Settings(epochs=2, seed=1)
    fit(dkd(mine, tiny_net(6, 2), **off), train, settings=settings, platform=platform)
    fit(plain(theirs), train, settings=settings, platform=platform)
    for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


def test_of_two_classes_it_is_hinton_kd(train: Batches, platform: Platform) -> None:
    """Nothing is left beside the label and the other class: NCKD is 0, TCKD is the KL."""

    def of_two(width: int, seed: int) -> nn.Module:
        net = tiny_net(width, seed)
        net.fc = nn.Linear(width, 2)
        return net

    table = train.table
    table.labels.clamp_(max=1)
    mine, theirs, teacher = of_two(4, 1), of_two(4, 1), of_two(6, 2)
    settings = Settings(epochs=2, seed=1)
    fit(dkd(mine, teacher, warmup=0.0), train, settings=settings, platform=platform)
    fit(
        kd(theirs, teacher, weight=1.0, label_weight=1.0),
        train,
        settings=settings,
        platform=platform,
    )
    for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_a_teacher_may_come_as_a_node() -> None:
    teacher = Role("teacher", tiny_net(), head="fc")
    assert dkd(tiny_net(), teacher).node("teacher") is teacher


def test_all_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        dkd(tiny_net(), tiny_net(), alpha=-1.0, beta=-2.0, temperature=0.0, warmup=-20.0)
    assert caught.value.problems == (
        "alpha is -1.0; it must be at least 0",
        "beta is -2.0; it must be at least 0",
        "temperature is 0.0; it must be above 0",
        "warmup is -20.0; it must be at least 0",
    )
