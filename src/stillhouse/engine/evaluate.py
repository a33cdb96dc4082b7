"""Evaluation: the task's metrics of the measured signals, and diagnostics, once over a table."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from stillhouse.data.batches import BatchSource
from stillhouse.engine.composite import run_outside
from stillhouse.engine.diagnostics import RowGatherer, read_off, reads_of
from stillhouse.engine.objective import Objective
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.records.files import Reading

Scores = dict[str, dict[str, float]]
"""The label of a measure -> name of a metric -> its value."""

LABEL = "batch.label"


def evaluate(objective: Objective, table: BatchSource, platform: Platform) -> Scores:
    """Score each measured signal in eval mode; the flags of all modules are as before.

    Returns:
        label -> the task's metrics: means over the rows (`Task.rows`) and what is more than a mean
        (`Task.further`). Of a classification: "accuracy", the share of rows whose largest logit
        is the label, and "loss", the mean cross-entropy in nats.
    """
    with _eval_mode(objective), torch.inference_mode():
        return _scores(objective, table, platform, RowGatherer(()))


def examine(
    objective: Objective, table: BatchSource, platform: Platform
) -> tuple[Scores, dict[str, Reading]]:
    """Score as `evaluate` does, and read the diagnostics off the same pass."""
    diagnostics = objective.stage.diagnostics
    gathered = RowGatherer(reads_of(diagnostics))
    with _eval_mode(objective), torch.no_grad():
        with torch.inference_mode():
            scores = _scores(objective, table, platform, gathered)
        return scores, read_off(diagnostics, gathered.signals())


def gather(
    objective: Objective, reads: Iterable[str], table: BatchSource, platform: Platform
) -> Signals:
    """These signals of the first rows of a table, as diagnostics see them; the rest is not run.

    Each must be read by a measure or a diagnostic of the stage.
    """
    gathered = RowGatherer(reads)
    with _eval_mode(objective), torch.inference_mode():
        for batch in table.once():
            gathered.add(measured(objective, batch, platform))
            if gathered.full:
                break
    return gathered.signals()


@contextmanager
def _eval_mode(objective: Objective) -> Iterator[None]:
    """All modules of the stage in eval mode; then as before."""
    roots = [node.module for node in objective.wiring.nodes if node.module is not None]
    training = [(part, part.training) for root in roots for part in root.modules()]
    for root in roots:
        root.eval()
    try:
        yield
    finally:
        for part, was in training:
            part.training = was


def measured(objective: Objective, batch: Signals, platform: Platform) -> Signals:
    """The batch with the signals behind measures and diagnostics, without autograd."""
    dtype = platform.autocast_dtype
    with torch.autocast(platform.device.type, dtype, enabled=dtype is not None):
        return run_outside(objective.wiring.measuring, batch)


def _scores(
    objective: Objective, table: BatchSource, platform: Platform, gathered: RowGatherer
) -> Scores:
    task, measures = objective.stage.task, objective.stage.measures
    further = {label: {n: m.to(platform.device) for n, m in task.further().items()}
               for label in measures}  # fmt: skip
    totals: dict[str, dict[str, torch.Tensor]] = {label: {} for label in measures}
    rows = torch.zeros(1, device=platform.device)
    for batch in table.once():
        known = measured(objective, batch, platform)
        label = known[LABEL]
        for name, signal in measures.items():
            output, sums = known[signal], totals[name]
            for metric, values in task.rows(output, label).items():
                sums[metric] = sums.get(metric, torch.zeros((), device=rows.device)) + values.sum()
            for more in further[name].values():
                more.update(task.predict(output), label)
        rows += len(label)
        gathered.add(known)
    count = platform.sum(rows)
    return {
        label: {
            **{name: float(platform.sum(total) / count) for name, total in sums.items()},
            **{name: float(more.compute()) for name, more in further[label].items()},
        }
        for label, sums in totals.items()
    }
