"""Who watches a run: the engine's observer, and a voice for notes and warnings."""

from collections.abc import Iterable
from typing import Protocol

from stillhouse.engine.fit import NullObserver, Observer


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
        self.begin, self.step, self.epoch = watcher.begin, watcher.step, watcher.epoch
        self.say, self.overall = watcher.say, watcher.overall
        self.warned = list(before)
        self._watcher = watcher

    def warn(self, text: str) -> None:
        """Remember it."""
        if text not in self.warned:
            self.warned.append(text)
            self._watcher.warn(text)
