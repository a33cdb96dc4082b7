"""Who watches a run: the engine's observer, and a voice for notes and warnings."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from stillhouse.engine.observer import NullObserver, Observer
from stillhouse.records.metric import Metric


class Watcher(Observer, Protocol):
    """An observer that also hears notes and warnings."""

    def say(self, text: str) -> None:
        """A note for the user."""

    def warn(self, text: str) -> None:
        """Something that may make the numbers worthless."""

    def overall(self, done: int, total: int) -> None:
        """Of a study: how many of its students are done."""


class SilentWatcher(NullObserver):
    """Says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing."""

    def overall(self, done: int, total: int) -> None:
        """Nothing."""


class Renamed:
    """A watcher before another, to which every training is told under one name.

    Args:
        watcher: who hears of everything.
        stage: the name, such as 'candidate': a student that is no student of the run.
    """

    def __init__(self, watcher: Watcher, stage: str) -> None:
        self.step, self.say, self.warn = watcher.step, watcher.say, watcher.warn
        self.overall = watcher.overall
        self._watcher, self._stage = watcher, stage

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Of a training."""
        self._watcher.begin(self._stage, steps, done)

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """Of a training."""
        self._watcher.epoch({**record, "stage": self._stage}, metric)


class Heard:
    """A watcher before another: it remembers what it was warned of, and passes each on once.

    Args:
        watcher: who hears of everything.
        before: what was warned of already.

    >>> heard = Heard(SilentWatcher())
    >>> heard.warn("2 .txt were left out"), heard.warn("2 .txt were left out"), heard.warned
    (None, None, ['2 .txt were left out'])
    """

    def __init__(self, watcher: Watcher, before: Iterable[str] = ()) -> None:
        self.step, self.epoch = watcher.step, watcher.epoch
        self.say, self.overall = watcher.say, watcher.overall
        self.warned = list(before)
        self._watcher = watcher

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Of what goes on, say from where."""
        if 0 < done < steps:
            self.say(f"{stage}: goes on from step {done:,} of {steps:,}, where it was stopped")
        self._watcher.begin(stage, steps, done)

    def warn(self, text: str) -> None:
        """Remember it."""
        if text not in self.warned:
            self.warned.append(text)
            self._watcher.warn(text)
