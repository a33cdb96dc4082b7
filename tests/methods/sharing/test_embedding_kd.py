"""Embedding distillation: the whole objective by hand in float64, the bridge."""

import copy
import math

import numpy as np
import pytest
import torch
from by_hand import trained, wired
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Node
from stillhouse.engine.signals import Signals
from stillhouse.engine.wiring import wire
from stillhouse.errors import WiringError
from stillhouse.methods import embedding_kd


def array(value: Tensor) -> np.ndarray:
    return value.detach().double().numpy()


def embedding(net: nn.Module, image: Tensor) -> np.ndarray:
    with torch.no_grad():
        return array(net.relu(net.bn(net.conv(image))).mean((2, 3)))


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def distance(kind: str, s: np.ndarray, t: np.ndarray) -> float:
    """Mean over examples, one example at a time."""
    values = []
    for b in range(len(s)):
        if kind == "l2":
            values.append(sum((x - y) ** 2 for x, y in zip(s[b], t[b], strict=True)) / len(s[b]))
        elif kind == "cosine":
            values.append(1 - cosine(s[b], t[b]))
        elif kind == "normalised_l2":
            gap = s[b] / math.sqrt(s[b] @ s[b]) - t[b] / math.sqrt(t[b] @ t[b])
            values.append(float(gap @ gap))
        else:
            scores = np.array([cosine(s[b], other) / 0.07 for other in t])
            values.append(-math.log(softmax(scores)[b]))
    return math.fsum(values) / len(values)


def by_hand(own: np.ndarray, theirs: np.ndarray, label: np.ndarray, temperature: float):
    """Cross-entropy and softened KL, one example at a time."""
    hard, soft = [], []
    for z, t, y in zip(own, theirs, label, strict=True):
        hard.append(-math.log(softmax(z)[y]))
        p, q = softmax(t / temperature), softmax(z / temperature)
        soft.append(temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return math.fsum(hard) / len(hard), math.fsum(soft) / len(soft)


@pytest.mark.parametrize("kind", ["l2", "cosine", "normalised_l2", "contrastive"])
@pytest.mark.parametrize("width", [4, 6])
@pytest.mark.parametrize("kd_weight", [0.0, 0.4])
def test_the_objective_is_the_sum_of_the_paper(
    kind: str, width: int, kd_weight: float, train: Batches
) -> None:
    student, teacher, batch = tiny_net(4, 1).eval(), tiny_net(width, 2).eval(), train.sample(16)
    stage = embedding_kd(
        student, teacher, distance=kind, weight=3.0, kd_weight=kd_weight, temperature=2.0,
        label_weight=0.7,
    )  # fmt: skip
    signals = wire(stage, batch).seen
    value = sum(term.weight_at(0.0) * term.value(signals).item() for term in stage.terms())
    s, t = (embedding(net, batch["batch.image"]) for net in (student, teacher))
    own = s @ array(student.fc.weight).T + array(student.fc.bias)
    theirs = t @ array(teacher.fc.weight).T + array(teacher.fc.bias)
    if width != 4:
        bridge = stage.node("matched").module
        s = s @ array(bridge.weight).T + array(bridge.bias)
    hard, soft = by_hand(own, theirs, batch["batch.label"].numpy(), 2.0)
    wanted = 0.7 * hard + 3.0 * distance(kind, s, t) + kd_weight * soft
    assert value == pytest.approx(wanted, rel=1e-4)


def test_weight_times_batch_is_the_released_sum(train: Batches) -> None:
    """Their `kde` adds up the batch: beta there is weight / B here."""
    student, teacher, batch = tiny_net(4, 1).eval(), tiny_net(4, 2).eval(), train.sample(16)
    stage = embedding_kd(student, teacher, weight=0.5 * 16)
    term = next(term for term in stage.terms() if term.name == "embedding")
    value = term.weight_at(0.0) * term.value(wire(stage, batch).seen).item()
    s, t = (embedding(net, batch["batch.image"]) for net in (student, teacher))
    s, t = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (s, t))
    assert value == pytest.approx(0.5 * ((s - t) ** 2).sum(), rel=1e-4)


def test_the_bridge_learns_and_is_no_part_of_the_student(train: Batches) -> None:
    student = tiny_net(4, 1)
    stage = wired(embedding_kd(student, tiny_net(6, 2)), train)
    before = copy.deepcopy(stage.node("matched").module)
    fitted = trained(stage, train, epochs=1)
    assert not torch.equal(before.weight, stage.node("matched").module.weight)
    assert set(fitted.last["student"]) == set(student.state_dict())
    equal = trained(embedding_kd(tiny_net(4, 1), tiny_net(4, 2)), train, epochs=1)
    assert equal.last.get("matched", {}) == {}


class Embeddings(Node):
    """A teacher of which only embeddings are known."""

    def __init__(self) -> None:
        super().__init__("teacher", "batch.image")

    def problem(self, part: str) -> str | None:
        return None if part == "embedding" else f"it has no {part}"

    def run(self, signals) -> Signals:
        return {"teacher.embedding": signals["batch.image"].mean((2, 3))}


def test_without_the_kl_no_logits_of_the_teacher_are_needed(train: Batches) -> None:
    trained(embedding_kd(tiny_net(4), Embeddings(), kd_weight=0.0), train, epochs=1)
    with pytest.raises(WiringError, match="it has no logits"):
        trained(embedding_kd(tiny_net(4), Embeddings()), train, epochs=1)
