"""Progress where no terminal is: lines, few enough for a log."""

import time
from collections.abc import Mapping
from typing import Any

from stillhouse.records.metric import Metric
from stillhouse.runs.progress.watchers import (
    SilentProgress,
    loss_text,
    part_line,
    rate_text,
    validation_text,
    whose,
)

LINE_EVERY = 10.0
"""Least seconds between plain lines, so that a log stays readable."""

STEPS_EVERY = 60.0
"""Seconds after which a log says how far a long epoch or caching a teacher is."""


class LineProgress(SilentProgress):
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
        rate = rate_text(record)
        print(
            f"{whose(record)}: epoch {record['epoch']}, "
            + ", ".join(filter(None, [loss_text(record), validation_text(record, metric), rate])),
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


class PartLines(SilentProgress):
    """A line for each training that ends, and for each warning; for calls from Python."""

    def __init__(self) -> None:
        self._steps = 0
        self._began = 0.0
        self._unsaid: tuple[Mapping[str, Any], Metric] | None = None

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Remember how long it is, and tell of one before it that patience ended."""
        self._tell()
        self._steps, self._began = steps, time.monotonic()

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """A line, if the training is done."""
        self._unsaid = record, metric
        if record["step"] >= self._steps:
            self._tell()

    def warn(self, text: str) -> None:
        """A line, marked."""
        print(f"warning: {text}", flush=True)

    def ended(self, text: str) -> None:
        """A line."""
        self._tell()
        print(text, flush=True)

    def stop(self) -> None:
        """Tell of what has ended."""
        self._tell()

    def _tell(self) -> None:
        if self._unsaid is None:
            return
        (record, metric), self._unsaid = self._unsaid, None
        print(part_line(record, metric, time.monotonic() - self._began), flush=True)
