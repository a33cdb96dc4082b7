"""Who watches a run: the engine's observer, and a voice for notes and warnings."""

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
