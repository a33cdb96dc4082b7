"""DKD: the objective by hand, its warm-up, two classes."""

import math

import pytest
import torch
from by_hand import same, trained
from tiny import tiny_net
from torch import nn

from stillhouse.data.batches import Batches
from stillhouse.engine.wiring import wire
from stillhouse.methods import dkd, kd


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


def test_the_warm_up_goes_with_the_steps(train: Batches) -> None:
    stage = dkd(tiny_net(4, 1), tiny_net(6, 2), warmup=2.0)
    history = trained(stage, train, epochs=4).history
    grown = [record["weights"]["dkd"] for record in history]
    assert grown == sorted(grown)
    assert 0.0 < grown[0] < 1.0
    assert grown[-1] == 1.0
    assert all(record["weights"]["label"] == 1.0 for record in history)


def test_of_two_classes_it_is_hinton_kd(train: Batches) -> None:
    """Nothing is left beside the label and the other class: NCKD is 0, TCKD is the KL."""

    def of_two(width: int, seed: int) -> nn.Module:
        net = tiny_net(width, seed)
        net.fc = nn.Linear(width, 2)
        return net

    table = train.table
    table.labels.clamp_(max=1)
    mine, theirs, teacher = of_two(4, 1), of_two(4, 1), of_two(6, 2)
    trained(dkd(mine, teacher, warmup=0.0), train)
    trained(kd(theirs, teacher, weight=1.0, label_weight=1.0), train)
    same(mine, theirs, 1e-6, 1e-4)
