"""Who hears how a fit goes, such as a progress bar."""

from collections.abc import Mapping
from typing import Any, Protocol

from stillhouse.records.metric import Metric


class Observer(Protocol):
    """Who wants to know how a fit goes, such as a progress bar."""

    def begin(self, stage: str, steps: int, done: int) -> None:
        """A fit begins, ``done`` of its steps made before."""

    def step(self, images: int) -> None:
        """One optimiser step was made, with so many images."""

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """An epoch ended; the record is a line of metrics.jsonl, the metric is the task's."""


class NullObserver:
    """An observer that says nothing."""

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Nothing."""

    def step(self, images: int) -> None:
        """Nothing."""

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """Nothing."""
