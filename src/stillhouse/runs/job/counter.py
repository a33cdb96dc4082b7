"""Counts the students of a run or study that are done, for whoever shows how far it is."""

from collections.abc import Mapping
from typing import Any

from stillhouse.records.metric import Metric
from stillhouse.runs.job.watcher import Watcher

STUDENT = "student"


class StudentCounter:
    """A watcher before another, which counts students that are done and passes all on.

    ``stage`` is the training that was begun last. One that is begun with all its steps made was
    found finished.

    Args:
        watcher: who hears of everything.
        done, total: students of the whole that are done, and that there are in all.
    """

    def __init__(self, watcher: Watcher, done: int = 0, total: int = 0) -> None:
        self.say, self.warn, self.step = watcher.say, watcher.warn, watcher.step
        self.overall = watcher.overall
        self.stage = STUDENT
        self._watcher = watcher
        self._done, self._total, self._steps = done, total, 0

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Note which training this is."""
        self.stage, self._steps = stage, steps
        self._watcher.begin(stage, steps, done)
        if done >= steps:
            self._count()

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """Count a student that is done."""
        self._watcher.epoch(record, metric)
        if record["step"] >= self._steps:
            self._count()

    def _count(self) -> None:
        if self.stage == STUDENT and self._done < self._total:
            self._done += 1
            self.overall(self._done, self._total)


def counted(watcher: Watcher, students: int) -> Watcher:
    """The watcher of a run with so many students: that of a study counts by itself."""
    if isinstance(watcher, StudentCounter):
        return watcher
    watcher.overall(0, students)
    return StudentCounter(watcher, 0, students)
