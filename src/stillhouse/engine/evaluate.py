"""Evaluation: accuracy and cross-entropy of the measured signals, once over a table."""

from collections.abc import Mapping

import torch

from stillhouse.data.batches import Batches
from stillhouse.engine.composite import run_outside
from stillhouse.engine.platform import Platform
from stillhouse.engine.wiring import Wiring
from stillhouse.functional import cross_entropy

Scores = dict[str, dict[str, float]]


def evaluate(wiring: Wiring, table: Batches, platform: Platform) -> Scores:
    """Score each measured signal in eval mode; the flags of all modules are as before.

    Returns:
        label -> {"accuracy": share of rows whose largest score is the label, "loss": mean
        cross-entropy in nats}.
    """
    roots = [node.module for node in wiring.measuring if node.module is not None]
    training = [(part, part.training) for root in roots for part in root.modules()]
    for root in roots:
        root.eval()
    try:
        with torch.inference_mode():
            return _scores(wiring, table, platform)
    finally:
        for part, was in training:
            part.training = was


def _scores(wiring: Wiring, table: Batches, platform: Platform) -> Scores:
    measures: Mapping[str, str] = wiring.stage.measures
    totals = torch.zeros(len(measures), 2, device=platform.device)
    rows = torch.zeros(1, device=platform.device)
    dtype = platform.autocast_dtype
    for batch in table.once():
        with torch.autocast(platform.device.type, dtype, enabled=dtype is not None):
            known = run_outside(wiring.measuring, batch)
        label = known["batch.label"]
        for at, signal in enumerate(measures.values()):
            logits = known[signal]
            totals[at, 0] += (logits.argmax(1) == label).sum()
            totals[at, 1] += cross_entropy(logits, label).sum()
        rows += len(label)
    means = (platform.sum(totals) / platform.sum(rows)).tolist()
    return {
        label: {"accuracy": accuracy, "loss": loss}
        for label, (accuracy, loss) in zip(measures, means, strict=True)
    }
