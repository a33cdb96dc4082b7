"""Hinton KD: the objective by hand."""

import math

import pytest
import torch
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.wiring import wire
from stillhouse.methods import kd


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
