"""RKD: the objective by hand, and relations that come nearer."""

import math
from itertools import product

import pytest
import torch
from by_hand import trained
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.wiring import wire
from stillhouse.methods import rkd

Rows = list[list[float]]


def embedding(net: nn.Module, image: Tensor) -> Rows:
    with torch.no_grad():
        rows: Rows = net.relu(net.bn(net.conv(image))).mean((2, 3)).tolist()
    return rows


def huber(gap: float) -> float:
    return gap * gap / 2 if abs(gap) < 1 else abs(gap) - 0.5


def distances(x: Rows) -> list[float]:
    between = [math.dist(a, b) for a, b in product(x, x)]
    positive = [d for d in between if d > 0]
    return [d * len(positive) / sum(positive) for d in between]


def cosines(x: Rows) -> list[float]:
    def cosine(at: list[float], a: list[float], b: list[float]) -> float:
        u, v = ([p - q for p, q in zip(end, at, strict=True)] for end in (a, b))
        lengths = math.hypot(*u) * math.hypot(*v)
        return sum(p * q for p, q in zip(u, v, strict=True)) / lengths if lengths else 0.0

    return [cosine(*triple) for triple in product(x, x, x)]


def mean_huber(mine: list[float], theirs: list[float]) -> float:
    return sum(huber(a - b) for a, b in zip(mine, theirs, strict=True)) / len(mine)


@pytest.mark.parametrize("width", [4, 6])
def test_the_objective_is_the_published_sum(width: int, train: Batches) -> None:
    student, teacher, batch = tiny_net(4, 1).eval(), tiny_net(width, 2).eval(), train.sample(8)
    stage = rkd(student, teacher, distance_weight=2.0, angle_weight=3.0, label_weight=0.5)
    signals = wire(stage, batch).seen
    value = sum(term.weight_at(0.0) * term.value(signals).item() for term in stage.terms())
    mine, theirs = (embedding(net, batch["batch.image"]) for net in (student, teacher))
    with torch.no_grad():
        log_p = student(batch["batch.image"]).double().log_softmax(1)
    hard = -log_p.gather(1, batch["batch.label"][:, None]).mean().item()
    wanted = 0.5 * hard + 2.0 * mean_huber(distances(mine), distances(theirs))
    wanted += 3.0 * mean_huber(cosines(mine), cosines(theirs))
    assert value == pytest.approx(wanted, rel=1e-5)


def test_relations_come_nearer_to_the_teachers(train: Batches) -> None:
    """Of another width, and without any label."""
    stage = rkd(tiny_net(4, 1), tiny_net(6, 2), label_weight=0.0)
    history = trained(stage, train, epochs=6, seed=0).history
    for name in ("distance", "angle"):
        assert history[-1]["terms"][name] < 0.7 * history[0]["terms"][name]
