"""What all ways to show progress have in common."""

from collections.abc import Mapping
from typing import Any, Protocol

from stillhouse.records.metric import Metric
from stillhouse.runs.job.watcher import SilentWatcher, Watcher


class Progress(Watcher, Protocol):
    """A watcher that shows what it hears of."""

    def clear(self) -> None:
        """Take away what is shown of trainings that are done."""

    def ended(self, text: str) -> None:
        """Tell of an arm that has ended, in its line."""

    def stop(self) -> None:
        """Show nothing from here on, and leave the place as it was."""


class SilentProgress(SilentWatcher):
    """Shows nothing."""

    def clear(self) -> None:
        """Nothing."""

    def ended(self, text: str) -> None:
        """What was shown of it goes, and its line stays."""
        self.clear()
        self.say(text)

    def stop(self) -> None:
        """Nothing."""


def whose(record: Mapping[str, Any]) -> str:
    """Which training a line of metrics is of.

    >>> whose({"stage": "student", "seed": 2})
    'student seed 2'
    """
    return f"{record['stage']} seed {record.get('seed', 0)}"


def validated(record: Mapping[str, Any], metric: Metric) -> float | None:
    """The metric on validation after an epoch; None without validation, or without a number."""
    scores: Mapping[str, float] = next(iter(record["validation"].values()), {})
    return scores.get(metric.name)


def validation_text(record: Mapping[str, Any], metric: Metric) -> str:
    """The metric on validation after an epoch, in words; empty without validation."""
    scores = list(record["validation"].values())
    return f"validation {metric.with_unit(scores[0][metric.name])}" if scores else ""


def best_of(before: float | None, now: float | None, metric: Metric) -> float | None:
    """The better of two values, of which each may be missing.

    >>> from stillhouse.records.metric import ACCURACY
    >>> best_of(0.9, 0.8, ACCURACY), best_of(None, 0.8, ACCURACY)
    (0.9, 0.8)
    """
    if before is None or now is None:
        return now if before is None else before
    return (max if metric.higher_is_better else min)(before, now)


def time_left(seconds: float) -> str:
    """A time to come, as clocks show it.

    >>> time_left(42), time_left(200), time_left(7510)
    ('0:42', '3:20', '2:05:10')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def rate_text(record: Mapping[str, Any]) -> str:
    """How fast an epoch was.

    >>> rate_text({"images_per_second": 1234.5}), rate_text(
    ...     {"images_per_second": 80.0, "rows_are": "texts"})
    ('1,234 images/s', '80 texts/s')
    """
    return f"{record['images_per_second']:,.0f} {record.get('rows_are', 'images')}/s"


def loss_text(record: Mapping[str, Any]) -> str:
    """The loss of an epoch, and what the network's own loss is made of where it says that.

    >>> loss_text({"loss": 1.5, "parts": {"classification": 1.0, "box": 0.5}})
    'loss 1.5000 (classification 1.0000, box 0.5000)'
    """
    parts = ", ".join(f"{name} {value:.4f}" for name, value in record.get("parts", {}).items())
    return f"loss {record['loss']:.4f}" + (f" ({parts})" if parts else "")


def part_line(record: Mapping[str, Any], metric: Metric, seconds: float) -> str:
    """A training that has ended, by the line of its last epoch.

    >>> from stillhouse.records.metric import ACCURACY
    >>> scores = {"student": {"accuracy": 0.975}}
    >>> last = {"stage": "student", "seed": 1, "epoch": 20, "loss": 0.5, "validation": scores}
    >>> part_line(last, ACCURACY, 8.44)
    'student seed 1: epoch 20, loss 0.5000, validation 97.50%, 8.4 s'
    """
    told = (loss_text(record), validation_text(record, metric), f"{seconds:.1f} s")
    return f"{whose(record)}: epoch {record['epoch']}, {', '.join(filter(None, told))}"
