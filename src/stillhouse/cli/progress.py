"""Progress of a run: bars with rate and time left in a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from stillhouse.records.metric import Metric

LINE_EVERY = 10.0
"""Least seconds between plain lines, so that a log stays readable."""

STEPS_EVERY = 60.0
"""Seconds after which a log says how far a long epoch or caching a teacher is."""


def _validation(record: Mapping[str, Any], metric: Metric) -> str:
    scores = list(record["validation"].values())
    return f"validation {metric.with_unit(scores[0][metric.name])}" if scores else ""


class Bars:
    """One bar for the stage that runs; finished stages leave a line."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>12}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._progress.start()
        self._task: TaskID | None = None
        self._all: TaskID | None = None

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Show a new bar."""
        self._task = self._progress.add_task(stage, total=steps, completed=done, rate="", note="")

    def step(self, images: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task)

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """Show rate and the metric on validation."""
        if self._task is not None:
            self._progress.update(
                self._task,
                description=f"{record['stage']} seed {record.get('seed', 0)}",
                rate=f"{record['images_per_second']:,.0f} img/s",
                note=_validation(record, metric),
            )

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._progress.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """A line above the bars, marked."""
        self._progress.console.print(f"warning: {text}", style="yellow", markup=False)

    def overall(self, done: int, total: int) -> None:
        """Show how far the whole study is, in a bar of its own."""
        if self._all is None:
            self._all = self._progress.add_task("all students", total=total, rate="", note="")
        self._progress.update(self._all, completed=done)

    def clear(self) -> None:
        """Take away the bars of stages that are done; that of the study stays."""
        for task in self._progress.task_ids:
            if task != self._all:
                self._progress.remove_task(task)
        self._task = None

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()


class LineProgress:
    """Lines for a log: at most one per ten seconds, and one at the end of each stage."""

    def __init__(self) -> None:
        self._last = 0.0
        self._steps = 0
        self._done = 0
        self._stage = ""

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Remember how long the stage is."""
        self._stage, self._steps, self._done = stage, steps, done
        self._last = time.monotonic()

    def step(self, images: int) -> None:
        """A line where no other came for a while."""
        self._done += 1
        if time.monotonic() - self._last >= STEPS_EVERY:
            self._last = time.monotonic()
            print(f"{self._stage}: step {self._done:,} of {self._steps:,}", flush=True)

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """A line, if it is time or the stage is done."""
        done = record["step"] >= self._steps
        if not done and time.monotonic() - self._last < LINE_EVERY:
            return
        self._last = time.monotonic()
        rate = f"{record['images_per_second']:,.0f} images/s"
        print(
            f"{record['stage']} seed {record.get('seed', 0)}: epoch {record['epoch']}, "
            + ", ".join(
                filter(None, [f"loss {record['loss']:.4f}", _validation(record, metric), rate])
            ),
            flush=True,
        )

    def say(self, text: str) -> None:
        """A line."""
        print(text, flush=True)

    def warn(self, text: str) -> None:
        """A line, marked."""
        print(f"warning: {text}", flush=True)

    def overall(self, done: int, total: int) -> None:
        """A line for each student of a study that is done."""
        if done and done < total:
            print(f"{done} of {total} students", flush=True)
