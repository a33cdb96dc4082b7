"""Evaluation: the task's metrics of the measured signals, and diagnostics, once over a table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from stillhouse.data.batches import BatchSource
from stillhouse.engine.answers import RowAnswers
from stillhouse.engine.composite import run_outside
from stillhouse.engine.diagnostics import RowGatherer, read_off, reads_of
from stillhouse.engine.objective import Objective
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import IMAGE, Signals
from stillhouse.errors import DataError
from stillhouse.models.given import set_eval
from stillhouse.records.files import Reading
from stillhouse.tasks import Task

Scores = dict[str, dict[str, float]]
"""The label of a measure -> name of a metric -> its value."""

LABEL = "batch.label"


class RunningScores:
    """The task's metrics of one output, batch by batch; of several processes together.

    >>> import torch
    >>> from stillhouse.engine.platform import open_platform
    >>> from stillhouse.tasks import CLASSIFICATION
    >>> scores = RunningScores(CLASSIFICATION, open_platform(device="cpu"))
    >>> scores.add(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))
    >>> scores.compute()["accuracy"]
    0.5
    """

    def __init__(
        self, task: Task, platform: Platform, kept: RowAnswers | None = None, pairs: Any = None
    ) -> None:
        self._task, self._platform = task, platform
        self._kept, self._pairs = kept, pairs
        self._further = {n: m.to(platform.device) for n, m in task.further().items()}
        self._sums: dict[str, torch.Tensor] = {}
        self._rows = torch.zeros(1, device=platform.device)

    def add(self, output: torch.Tensor, label: torch.Tensor) -> None:
        """Take in a batch."""
        for name, values in self._task.rows(output, label).items():
            before = self._sums.get(name, torch.zeros((), device=self._rows.device))
            self._sums[name] = before + values.sum()
        for metric in self._further.values():
            metric.update(self._task.predict(output), label)
        self._rows += len(label)
        if self._kept is not None:
            self._kept.add(output, label)

    def compute(self) -> dict[str, float]:
        """Means over all rows (`Task.rows`), and what is more than a mean.

        That is `Task.further`, and `Task.of_table` where the answers of all rows are kept.
        """
        rows, total = self._platform.sum(self._rows), self._platform.sum
        whole = (
            self._task.of_table(self._kept.tensors(), self._pairs)
            if self._kept is not None and self._task.whole
            else {}
        )
        return {
            **{name: float(total(values) / rows) for name, values in self._sums.items()},
            **{name: float(metric.compute()) for name, metric in self._further.items()},
            **{name: float(value) for name, value in whole.items()},
        }


def evaluate(
    objective: Objective,
    table: BatchSource,
    platform: Platform,
    *,
    answers: Mapping[str, RowAnswers] | None = None,
) -> Scores:
    """Score each measured signal in eval mode; the flags of all modules are as before.

    Args:
        objective, table, platform: what is scored, on what and where.
        answers: what keeps the answers of a measure row by row, by its label.

    Returns:
        label -> the task's metrics: means over the rows (`Task.rows`) and what is more than a mean
        (`Task.further`).
    """
    with _eval_mode(objective), torch.inference_mode():
        return _scores(objective, table, platform, RowGatherer(()), answers or {})


def examine(
    objective: Objective, table: BatchSource, platform: Platform
) -> tuple[Scores, dict[str, Reading]]:
    """Score as `evaluate` does, and read the diagnostics off the same pass."""
    diagnostics = objective.stage.diagnostics
    gathered = RowGatherer(reads_of(diagnostics))
    with _eval_mode(objective), torch.no_grad():
        with torch.inference_mode():
            scores = _scores(objective, table, platform, gathered, {})
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
        set_eval(root)
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


def _added_up(objective: Objective, batch: Signals, known: Signals, platform: Platform) -> Signals:
    """The measured signals, with those of the other forms in which the task shows each image."""
    signals = dict.fromkeys(objective.stage.measures.values())
    if IMAGE not in batch:
        return {signal: known[signal] for signal in signals}
    _, *others = objective.stage.task.forms(batch[IMAGE])
    seen = [known, *(measured(objective, {**batch, IMAGE: each}, platform) for each in others)]
    return {signal: sum_of([each[signal] for each in seen]) for signal in signals}


def sum_of(outputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Added up in float32 where there are several; one as it is."""
    first, *others = outputs
    return sum((each.float() for each in others), first.float()) if others else first


def _scores(
    objective: Objective,
    table: BatchSource,
    platform: Platform,
    gathered: RowGatherer,
    answers: Mapping[str, RowAnswers],
) -> Scores:
    task, measures = objective.stage.task, objective.stage.measures
    checks = getattr(table, "checks", None)  # batches of the user's own
    if checks is not None:
        checks.labels = objective.label_problem
    kept = dict(answers)
    if task.whole:
        if table.rows is None:
            said = (
                f"the task '{task.name}' is measured on a table as a whole, and nobody knows how "
            )
            raise DataError(f"{said}many rows this one has; give a dataset that has a length")
        more = [label for label in measures if label not in answers]
        kept |= {label: RowAnswers(task, platform, table.rows) for label in more}
    pairs = getattr(table, "pairs", None)
    running = {label: RunningScores(task, platform, kept.get(label), pairs) for label in measures}
    for batch in table.once():
        known = measured(objective, batch, platform)
        outputs = _added_up(objective, batch, known, platform)
        for label, signal in measures.items():
            running[label].add(outputs[signal], known[LABEL])
        gathered.add(known)
    return {label: each.compute() for label, each in running.items()}
