"""Progress in a terminal: bars with rate and time left."""

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
from stillhouse.runs.progress.watchers import validation_text, whose


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
                description=whose(record),
                rate=f"{record['images_per_second']:,.0f} img/s",
                note=validation_text(record, metric),
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

    def ended(self, text: str) -> None:
        """A line in place of the bars of what is done."""
        self.clear()
        self.say(text)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
