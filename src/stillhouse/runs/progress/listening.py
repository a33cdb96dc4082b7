"""``on_epoch``: a function of the user's that hears of each epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stillhouse.errors import RecipeError
from stillhouse.records.metric import Metric
from stillhouse.runs.job.watcher import Watcher


@dataclass(frozen=True)
class EpochEnd:
    """An epoch that ended: what a function given as ``on_epoch`` is called with.

    Args:
        stage: who learns: 'teacher', 'control', 'student', or whom a teacher comes from.
        seed: its seed.
        epoch: from 1.
        epochs: of the whole training, which patience may end before.
        loss: the sum of weighted terms, mean over the epoch.
        terms: the terms, before weighting, mean over the epoch.
        metric: the name of the task's metric, such as 'accuracy'.
        validation: that metric on validation, unscaled (accuracy from 0 to 1); None without
            validation data, and where it was no number.
        lr: the rate of learning.
        record: the line of metrics.jsonl, which has all of that and more.
    """

    stage: str
    seed: int
    epoch: int
    epochs: int
    loss: float
    terms: Mapping[str, float]
    metric: str
    validation: float | None
    lr: float
    record: Mapping[str, Any] = field(repr=False)


OnEpoch = Callable[[EpochEnd], object]


def check_on_epoch(given: Any) -> None:
    """See that it can be called. Raises RecipeError."""
    if given is not None and not callable(given):
        said = f"it is {given!r}; give a function of one argument, such as print"
        raise RecipeError("on_epoch", [said])


class Listening:
    """A watcher before another, by which a function hears of each epoch as well.

    Args:
        watcher: who hears of everything, first.
        on_epoch: the function. What it raises ends the training, like Ctrl-C.
    """

    def __init__(self, watcher: Watcher, on_epoch: OnEpoch) -> None:
        self.step, self.say, self.warn = watcher.step, watcher.say, watcher.warn
        self.overall = watcher.overall
        self._watcher, self._on_epoch = watcher, on_epoch
        self._steps = 0

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Remember how long the training is."""
        self._steps = steps
        self._watcher.begin(stage, steps, done)

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """Pass it on, and call the function."""
        self._watcher.epoch(record, metric)
        self._on_epoch(epoch_end(record, metric, self._steps))


def epoch_end(record: Mapping[str, Any], metric: Metric, steps: int) -> EpochEnd:
    """A line of metrics as what ``on_epoch`` is called with.

    Args:
        record: the line.
        metric: of the task.
        steps: of the whole training.
    """
    scores: Mapping[str, float] = next(iter(record["validation"].values()), {})
    return EpochEnd(
        stage=record["stage"],
        seed=record["seed"],
        epoch=record["epoch"],
        epochs=steps * record["epoch"] // record["step"],
        loss=record["loss"],
        terms=record["terms"],
        metric=metric.name,
        validation=scores.get(metric.name),
        lr=record["lr"],
        record=record,
    )
