"""Who watches an arm: hears which of its trainings is going on, and passes all on."""

from collections.abc import Mapping
from typing import Any

from stillhouse.runs.watching import Watcher

STUDENT = "student"


class Attentive:
    """A watcher before another; ``stage`` is what was begun last."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.stage = STUDENT

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Note which training this is."""
        self.stage = stage
        self._watcher.begin(stage, steps, done)

    def step(self, images: int) -> None:
        """Pass it on."""
        self._watcher.step(images)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Pass it on."""
        self._watcher.epoch(record)

    def say(self, text: str) -> None:
        """Pass it on."""
        self._watcher.say(text)

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._watcher.warn(text)
