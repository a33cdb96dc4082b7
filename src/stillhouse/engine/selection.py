"""What validation decides in a fit: its best epoch, and whether it ends before its last one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stillhouse.engine.evaluate import Scores
from stillhouse.engine.graph import Graph
from stillhouse.engine.objective import Weights
from stillhouse.engine.trainer import Settings
from stillhouse.errors import RunError, WiringError


@dataclass
class Progress:
    """How far a fit is, and the best epoch so far. Part of the checkpoint."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    best: Weights = field(default_factory=dict)
    seconds: float = 0.0
    epoch_seconds: float = 0.0


class Selection:
    """Reads the validation scores of a fit, by the task's metric of the first measure.

    All that it says is a function of the recorded epochs, so that a resumed fit, and each of
    several processes, says the same.

    Args:
        stage: that is fitted.
        settings: which say when it ends.
        who: what messages call it.
    """

    def __init__(self, stage: Graph, settings: Settings, who: str) -> None:
        self.stage, self.settings, self.who = stage, settings, who
        self.metric = stage.task.metric

    def headline(self, scores: Scores) -> float:
        """The value that selects."""
        return scores[self.stage.headline][self.metric.name]

    def take(self, scores: Scores, progress: Progress, weights: Callable[[], Weights]) -> None:
        """Note the epoch that is about to end, if none before was as good."""
        if not scores:
            return
        value = self.headline(scores)
        if progress.best_score is None or self.metric.is_better(value, progress.best_score):
            progress.best_score, progress.best_epoch = value, progress.epoch + 1
            progress.best = weights()

    def finished(self, progress: Progress, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether no epoch is left."""
        return (
            progress.epoch >= self.settings.last_epoch
            or self._reached(history)
            or self._out_of_patience(progress)
        )

    def check_reached(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Make sure that the value that was waited for came.

        Raises:
            RunError: it did not.
        """
        target, metric = self.settings.until_metric, self.metric
        if target is None or self._reached(history):
            return
        values = [self.headline(record["validation"]) for record in history]
        best = max(values) if metric.higher_is_better else min(values)
        easier = "less" if metric.higher_is_better else "more"
        wanted, reached = metric.with_unit(target), metric.with_unit(best)
        raise RunError(
            f"{self.who}: waited for {wanted} of validation {metric.name} and reached {reached} in "
            f"{len(history)} epochs; ask for {easier} or give it more epochs"
        )

    def _reached(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the validation value that was waited for is there."""
        target = self.settings.until_metric
        if target is None or not history:
            return False
        return self.metric.reached(self.headline(history[-1]["validation"]), target)

    def _out_of_patience(self, progress: Progress) -> bool:
        """Whether so many epochs in a row were no better than the best before them."""
        patience = self.settings.patience
        return patience is not None and progress.epoch - progress.best_epoch >= patience


def check_validated(settings: Settings, *, validated: bool) -> None:
    """Make sure that there is validation to read for what ends a fit early.

    Raises:
        WiringError: there is none.
    """
    asked = {"until_metric": settings.until_metric, "patience": settings.patience}
    read = [name for name, value in asked.items() if value is not None]
    if read and not validated:
        said = f"{read[0]} is read from validation data, and there are none"
        raise WiringError("settings", [said])
