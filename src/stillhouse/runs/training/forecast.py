"""What a cached teacher would save, from the counts of passes and from a few timed steps."""

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from stillhouse.cache import nodes_before
from stillhouse.data.batches import Batches
from stillhouse.engine.composite import run_outside
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training

WARM, TIMED = 2, 5
"""Steps that are run before timing and those that are timed: the median of five is steady enough
for a choice between seconds and minutes."""
LOOKUP_SECONDS = 2e-4
"""Of finding a batch in mapped shards, whatever its size."""
READ_RATE, WRITE_RATE = 1e9, 1e8
"""Bytes per second of gathering from mapped files, and of encoding, hashing and writing shards."""
WORTH = 0.97
"""A teacher cache that is predicted to save less than 3 % is not worth its disk."""


@dataclass(frozen=True)
class Times:
    """Seconds of one step with the live teacher, of the teacher in it, and of making its batch."""

    step: float
    teacher: float
    batch: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """Seconds of all students of a run, with a live and with a cached teacher."""

    live: float
    cached: float

    @property
    def pays(self) -> bool:
        """Whether a teacher cache is worth it."""
        return self.cached < WORTH * self.live


def forecast(
    times: Times, *, steps: int, live_passes: int, passes_left: float, batch_bytes: int
) -> Forecast:
    """Predict both ways.

    Args:
        times: of a step.
        steps: per pass over the data.
        live_passes: over all students that are still to be trained, so many epochs.
        passes_left: views that are not cached yet.
        batch_bytes: of the signals of one batch.

    >>> times = Times(step=0.3, teacher=0.1)
    >>> made = forecast(times, steps=10, live_passes=90, passes_left=8, batch_bytes=25_600)
    >>> round(made.live), round(made.cached)
    (270, 188)
    """
    lookup = LOOKUP_SECONDS + batch_bytes / READ_RATE
    write = times.batch + times.teacher + batch_bytes / WRITE_RATE
    cached = max(times.step - times.teacher, times.batch) + lookup
    return Forecast(
        live=live_passes * steps * times.step,
        cached=live_passes * steps * cached + passes_left * steps * write,
    )


def time_steps(
    stage: Stage, teacher: str, train: Batches, settings: Settings, platform: Platform
) -> Times:
    """Time some steps of a student's stage that is thrown away afterwards.

    Args:
        stage: with the live teacher; its learners are trained for these steps.
        teacher: the name of its role.
        train, settings, platform: as in the fit.
    """
    nodes = [*nodes_before(stage, teacher), stage.node(teacher)]
    with training(stage, train, settings, platform) as trainer:
        count = min(WARM + TIMED, trainer.per_epoch)
        step = _median(partial(next, trainer.steps(0)), count, platform)
        batches, shown = train.epoch(0), deque[Signals](maxlen=1)
        batch = _median(lambda: shown.append(next(batches)), count, platform)

        def run() -> None:
            dtype = platform.autocast_dtype
            with torch.autocast(platform.device.type, dtype, enabled=dtype is not None):
                run_outside(nodes, shown[0])

        return Times(step / settings.accumulate, _median(run, count, platform), batch)


def seconds_of(call: Callable[[], object], count: int, platform: Platform) -> list[float]:
    """The seconds that each of so many calls takes, to the end of what it begins."""
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        if platform.device.type == "cuda":
            torch.cuda.synchronize(platform.device)
        seconds.append(time.perf_counter() - began)
    return seconds


def median_later(seconds: list[float], warm: int = WARM) -> float:
    """The median of all but the first ones, or of the last where there are no more."""
    return statistics.median(seconds[min(warm, len(seconds) - 1) :])


def _median(call: Callable[[], object], count: int, platform: Platform) -> float:
    return median_later(seconds_of(call, count, platform))
