"""A training is told to the trackers of its job, epoch by epoch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from stillhouse.engine.observer import Observer
from stillhouse.recipes.merge import flat
from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.records.files import Lines
from stillhouse.records.metric import Metric
from stillhouse.records.run import METRICS
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.training import Training
from stillhouse.tracking import Curve, Scope, Tracking


class CurveObserver:
    """An observer before another, that draws each epoch as well.

    Args:
        observer: who hears of everything.
        curve: of the training.
        lines: the file with its epochs, for those before it was stopped: not all trackers take a
            point that comes after later ones.
    """

    def __init__(self, observer: Observer, curve: Curve, lines: Lines) -> None:
        self.step = observer.step
        self._observer, self._curve, self._lines = observer, curve, lines

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Of the training, which may go on."""
        self._observer.begin(stage, steps, done)
        if done:
            self._curve.add(*self._lines.read())

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """Of the training."""
        self._observer.epoch(record, metric)
        self._curve.add(record)


def observer_of(training: Training) -> Observer:
    """Who hears how a training goes: the watcher of its job, and its trackers."""
    curve, watcher = _curve(training), training.job.watcher
    if curve is None:
        return watcher
    return CurveObserver(watcher, curve, Lines(training.directory / METRICS))


def draw(training: Training, history: Iterable[Mapping[str, Any]]) -> None:
    """Tell the trackers all epochs of a training that is finished: they may lack some."""
    curve = _curve(training)
    if curve is not None:
        curve.end(history)


def _curve(training: Training) -> Curve | None:
    scope, job = training.job.tracked, training.job
    if scope is None:
        return None
    shared = training.directory.parent == job.shared
    place = (
        "" if shared or job.out == scope.out else f"{job.out.relative_to(scope.out).as_posix()}/"
    )
    role = f"{place}{training.role}"
    return scope.curve(role, training.settings.seed, training.identity, shared=shared)


@contextmanager
def tracked(job: Job, warn: Callable[[str], None]) -> Iterator[Job]:
    """The job with the trackers that its recipe asks for, in the process that writes.

    Those of a study are kept. ``warn`` is not the run's own: what becomes of a tracker is none of
    its findings.

    Raises:
        RunError: what is known of an earlier session is damaged.
    """
    if job.recipe.track is None or job.tracked is not None or not job.data.platform.main:
        yield job
        return
    tracking = Tracking(job.out, warn)
    try:
        yield replace(job, tracked=scope_of(tracking, job.recipe, job.out))
    finally:
        tracking.close()


def scope_of(tracking: Tracking, recipe: Recipe, out: Path, arm: str = "") -> Scope | None:
    """The trackers that a recipe asks for; None where it asks for none."""
    if recipe.track is None:
        return None
    values = flat(resolved(recipe))
    about = {
        name: each for name, each in values.items() if isinstance(each, bool | int | float | str)
    }
    return Scope(tracking, recipe.track.to, recipe.track.project, out, arm, about)
