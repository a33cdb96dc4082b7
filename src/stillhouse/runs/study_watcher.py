"""Who watches an arm: hears which of its trainings is going on, and passes all on."""

from collections.abc import Mapping
from typing import Any

from stillhouse.runs.watching import Watcher

STUDENT = "student"


class Attentive:
    """A watcher before another; ``stage`` is what was begun last.

    Args:
        watcher: who hears of everything.
        done, total: students of the study that are done, and that there are in all.
    """

    def __init__(self, watcher: Watcher, done: int = 0, total: int = 0) -> None:
        self._watcher = watcher
        self._done, self._total = done, total
        self._steps = 0
        self.stage = STUDENT

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Note which training this is."""
        self.stage, self._steps = stage, steps
        self._watcher.begin(stage, steps, done)

    def step(self, images: int) -> None:
        """Pass it on."""
        self._watcher.step(images)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Pass it on; count a student that is done."""
        self._watcher.epoch(record)
        if self.stage == STUDENT and record["step"] >= self._steps:
            self._done += 1
            self._watcher.overall(self._done, self._total)

    def overall(self, done: int, total: int) -> None:
        """Pass it on."""
        self._watcher.overall(done, total)

    def say(self, text: str) -> None:
        """Pass it on."""
        self._watcher.say(text)

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._watcher.warn(text)
