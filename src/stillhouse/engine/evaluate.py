"""Evaluation: accuracy and cross-entropy of the measured signals, and diagnostics, once over a table."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.composite import run_outside
from stillhouse.engine.diagnostics import Gathered, read_off, reads_of
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.engine.wiring import Wiring
from stillhouse.functional import cross_entropy
from stillhouse.records.files import Reading

Scores = dict[str, dict[str, float]]


def evaluate(wiring: Wiring, table: Batches, platform: Platform) -> Scores:
    """Score each measured signal in eval mode; the flags of all modules are as before.

    Returns:
        label -> {"accuracy": share of rows whose largest score is the label, "loss": mean
        cross-entropy in nats}.
    """
    with _eval_mode(wiring), torch.inference_mode():
        return _scores(wiring, table, platform, Gathered(()))


def examine(
    wiring: Wiring, table: Batches, platform: Platform
) -> tuple[Scores, dict[str, Reading]]:
    """Score as `evaluate` does, and read the diagnostics off the same pass."""
    diagnostics = wiring.stage.diagnostics
    gathered = Gathered(reads_of(diagnostics))
    with _eval_mode(wiring), torch.no_grad():
        with torch.inference_mode():
            scores = _scores(wiring, table, platform, gathered)
        return scores, read_off(diagnostics, gathered.signals())


def gather(wiring: Wiring, reads: Iterable[str], table: Batches, platform: Platform) -> Signals:
    """These signals of the first rows of a table, as diagnostics see them, and no pass over the rest.

    Each must be read by a measure or a diagnostic of the stage.
    """
    gathered = Gathered(reads)
    with _eval_mode(wiring), torch.inference_mode():
        for batch in table.once():
            gathered.add(_measured(wiring, batch, platform))
            if gathered.full:
                break
    return gathered.signals()


@contextmanager
def _eval_mode(wiring: Wiring) -> Iterator[None]:
    """All modules of the stage in eval mode; then as before."""
    roots = [node.module for node in wiring.nodes if node.module is not None]
    training = [(part, part.training) for root in roots for part in root.modules()]
    for root in roots:
        root.eval()
    try:
        yield
    finally:
        for part, was in training:
            part.training = was


def _measured(wiring: Wiring, batch: Signals, platform: Platform) -> Signals:
    dtype = platform.autocast_dtype
    with torch.autocast(platform.device.type, dtype, enabled=dtype is not None):
        return run_outside(wiring.measuring, batch)


def _scores(wiring: Wiring, table: Batches, platform: Platform, gathered: Gathered) -> Scores:
    measures = wiring.stage.measures
    totals = torch.zeros(len(measures), 2, device=platform.device)
    rows = torch.zeros(1, device=platform.device)
    for batch in table.once():
        known = _measured(wiring, batch, platform)
        label: Tensor = known["batch.label"]
        for at, signal in enumerate(measures.values()):
            logits = known[signal]
            totals[at, 0] += (logits.argmax(1) == label).sum()
            totals[at, 1] += cross_entropy(logits, label).sum()
        rows += len(label)
        gathered.add(known)
    means = (platform.sum(totals) / platform.sum(rows)).tolist()
    return {
        label: {"accuracy": accuracy, "loss": loss}
        for label, (accuracy, loss) in zip(measures, means, strict=True)
    }
