"""LSR: the objective by hand."""

import math

import pytest
import torch
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.wiring import wire
from stillhouse.methods import label_smoothing


@pytest.mark.parametrize(
    ("off_target", "on", "off"), [("uniform", 0.7 + 0.1, 0.1), ("others", 0.7, 0.15)]
)
def test_the_objective_is_the_published_sum(
    off_target: str, on: float, off: float, train: Batches
) -> None:
    """Of three classes: 0.3 shared by three, or by two."""
    student, batch = tiny_net(4, 1).eval(), train.sample(8)
    stage = label_smoothing(student, smoothing=0.3, off_target=off_target, label_weight=0.5)
    signals = wire(stage, batch).seen
    value = sum(term.weight_at(0.0) * term.value(signals).item() for term in stage.terms())
    with torch.no_grad():
        rows = student(batch["batch.image"]).double().softmax(1).tolist()
    total = 0.0
    for p, y in zip(rows, batch["batch.label"].tolist(), strict=True):
        total -= sum((on if c == y else off) * math.log(p[c]) for c in range(3))
    assert value == pytest.approx(0.5 * total / len(rows), rel=1e-5)
