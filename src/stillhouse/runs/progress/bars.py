"""Progress in a terminal: one bar for the whole run or study, with what it is doing."""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from stillhouse.records.metric import Metric
from stillhouse.runs.progress.watchers import best_of, time_left, validated, whose
from stillhouse.runs.progress.whole import Whole

ANEW_EVERY = 0.2
"""Seconds between two texts beside the bar."""


class Bars:
    """One bar; what has ended leaves a line above it."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            BarColumn(bar_width=12),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._whole, self._shown = Whole(), 0.0
        self._stage, self._steps, self._done = "", 0, 0
        self._epoch, self._best = "", None  # type: tuple[str, float | None]
        self._task = self._progress.add_task("reading data and networks", total=1.0)
        self._progress.start()

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Say what is being trained now."""
        self._whole.begin(stage, steps, done)
        if done >= steps:  # it was finished before, and is said so
            return
        self._stage, self._steps, self._done = stage, steps, done
        self._epoch, self._best = "", None
        self._show()

    def step(self, images: int) -> None:
        """Move the bar."""
        self._done += 1
        self._whole.steps()
        if time.monotonic() - self._shown >= ANEW_EVERY:
            self._show()

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """Epoch, loss, and the metric on validation with its best so far."""
        self._stage = whose(record)
        now = validated(record, metric)
        self._best = best_of(self._best, now, metric)
        epochs = self._steps * record["epoch"] // max(record["step"], 1)
        told = [f"epoch {record['epoch']}/{epochs}", f"loss {record['loss']:.3g}"]
        if now is not None:
            told.append(f"val {metric.with_unit(now)}, best {metric.with_unit(self._best)}")
        self._epoch = ", ".join(told)
        self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        part = self._epoch or f"step {self._done:,}/{self._steps:,}"
        left = self._whole.left()
        rest = "" if left is None else f", {time_left(left)} left"
        self._progress.update(
            self._task, completed=self._whole.share, description=f"{self._stage}: {part}{rest}"
        )

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """A line above the bar, marked."""
        self._progress.console.print(f"warning: {text}", style="yellow", markup=False)

    def overall(self, done: int, total: int) -> None:
        """How far the whole is, in students."""
        self._whole.overall(done, total)
        self._progress.update(self._task, completed=self._whole.share)
        if 0 < total <= done:
            self._progress.update(self._task, description="measuring on the test set")

    def clear(self) -> None:
        """The bar stays: it is of the whole."""

    def ended(self, text: str) -> None:
        """A line for what has ended."""
        self.say(text)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
