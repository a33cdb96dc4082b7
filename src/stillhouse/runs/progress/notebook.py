"""Progress in a notebook: one output that is shown anew, without widgets.

What stays in a stored notebook is a line for each training that has ended, and what was noted.
"""

import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from stillhouse.records.metric import Metric
from stillhouse.runs.progress.watchers import (
    SilentProgress,
    part_line,
    rate_text,
    validation_text,
    whose,
)

ANEW_EVERY = 0.2
"""Least seconds between two pictures of a bar."""

LEAST_TIME_LEFT = 1.0
"""Seconds of a training before which its rest is not estimated."""


class NotebookProgress(SilentProgress):
    """Lines of what was done, and a bar of the training that runs.

    Args:
        display: IPython's function of that name.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._lines: list[tuple[str, str]] = []
        self._arm = 0  # where the lines of the arm that runs begin
        self._stage, self._note = "", ""
        self._steps = self._done = self._before = 0
        self._all: tuple[int, int] | None = None
        self._last: tuple[Mapping[str, Any], Metric] | None = None
        self._began = self._shown = time.monotonic()
        self._handle = display(self, display_id=True)

    def begin(self, stage: str, steps: int, done: int) -> None:
        """A new bar."""
        self._end_part()
        if done >= steps:  # it was finished before, and is said so
            self._show()
            return
        self._stage, self._note = stage, ""
        self._steps, self._done, self._before = steps, done, done
        self._began = time.monotonic()
        self._show()

    def step(self, images: int) -> None:
        """Move the bar, if it is time."""
        self._done += 1
        if time.monotonic() - self._shown >= ANEW_EVERY:
            self._show()

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """The metric beside the bar; of a training that is done, a line."""
        self._stage, self._last = whose(record), (record, metric)
        rate = rate_text(record)
        self._note = ", ".join(filter(None, [validation_text(record, metric), rate]))
        if record["step"] >= self._steps:
            self._end_part()
        self._show()

    def say(self, text: str) -> None:
        """A line."""
        self._lines.append(("", text))
        self._show()

    def warn(self, text: str) -> None:
        """A line, marked."""
        self._lines.append(("warning", f"warning: {text}"))
        self._show()

    def overall(self, done: int, total: int) -> None:
        """How far a whole study is, in a bar of its own."""
        self._all = (done, total)
        self._show()

    def clear(self) -> None:
        """Take away the bar of what is done."""
        self._end_part()
        self._show()

    def ended(self, text: str) -> None:
        """Of an arm that has ended its line stays, and what was warned of."""
        self._end_part()
        warned = [line for line in self._lines[self._arm :] if line[0]]
        self._lines = [*self._lines[: self._arm], *warned, ("", text)]
        self._arm = len(self._lines)
        self._show()

    def stop(self) -> None:
        """Leave the lines alone."""
        self._end_part()
        self._all = None
        self._show()

    def _end_part(self) -> None:
        if self._last is not None:
            self._lines.append(("", part_line(*self._last, time.monotonic() - self._began)))
        self._stage, self._last = "", None

    def _show(self) -> None:
        self._shown = time.monotonic()
        if self._handle is not None:  # IPython gives none where nothing is displayed
            self._handle.update(self)

    def _bars(self) -> list[tuple[str, int, int, str]]:
        bars = []
        if self._stage:
            bars.append((self._stage, self._done, self._steps, self._beside()))
        if self._all is not None:
            bars.append(("all students", *self._all, ""))
        return bars

    def _beside(self) -> str:
        """What stands beside the bar: the last epoch, and how long it still takes."""
        spent, done = time.monotonic() - self._began, self._done - self._before
        left = ""
        if spent >= LEAST_TIME_LEFT and done > 0:
            left = f"{spent * (self._steps - self._done) / done:,.0f} s left"
        return ", ".join(filter(None, [self._note, left]))

    def __repr__(self) -> str:
        bars = [
            f"{name}: {done:,} of {total:,}  {note}" for name, done, total, note in self._bars()
        ]
        return "\n".join([*(text for _, text in self._lines), *map(str.rstrip, bars)])

    def _repr_html_(self) -> str:
        lines = [
            f'<div style="color: #b26a00">{escape(text)}</div>' if kind else escape(text)
            for kind, text in self._lines
        ]
        bars = [
            f'{escape(name):<16} <progress value="{done}" max="{max(total, 1)}"></progress> '
            f"{done:,}/{total:,}  {escape(note)}"
            for name, done, total, note in self._bars()
        ]
        shown = "\n".join([*lines, *bars])
        return f'<pre style="margin: 0; white-space: pre-wrap">{shown}</pre>'
