"""In which regime a network was trained: how well it knows what it saw, and whether it still rises.

A comparison of two networks that were stopped while they were still learning is one of their speed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import fmean

from stillhouse.diagnostics.calibration import mending_temperature
from stillhouse.engine.diagnostics import ROWS
from stillhouse.engine.evaluate import LABEL, evaluate, gather
from stillhouse.engine.seeding import seeded
from stillhouse.engine.trainer import opened
from stillhouse.records.files import finite
from stillhouse.records.metric import Metric
from stillhouse.records.run import ModelRecord
from stillhouse.runs.training.stage_run import LAST, StageRun
from stillhouse.tasks import CLASSIFICATION

LAST_PART = 1 / 5
"""Of the epochs: what was gained in them is looked at."""
RISING = 0.05
"""Of all that a network gained since its first epoch: more than that in the last part is a rise."""
TELLING, NOISE = 10, 1.5
"""Epochs that tell how much the metric differs by chance, and standard deviations of that noise
that a rise exceeds: of a network that has settled, one seed in fifteen does, and one majority of
three in eighty."""
SMALLEST_RISE, SMALLEST_GAP, KNOWN = 0.005, 0.02, 0.95
"""Shares of rows: a smaller rise is noise; with a smaller gap to the test set and less than this
right of what it saw, a network under-fits."""


@dataclass(frozen=True)
class Regime:
    """What is seen of a finished training beside its test score.

    Args:
        training: the task's metric on training rows, not augmented, in eval mode.
        temperature: that mends its probabilities, fitted on validation; None where there is none.
    """

    training: float | None = None
    temperature: float | None = None


def regime_of(run: StageRun) -> Regime:
    """Look at a finished training with the weights of its last epoch.

    At most `ROWS` training rows are read, spread evenly, and as many validation rows.
    """
    training = run.training
    job = training.job
    data, task = job.data, job.data.task
    with (
        seeded(training.settings.seed, "fit"),
        opened(run.opens, data.train(0), training.settings, data.platform) as objective,
    ):
        objective.load_weights(run.weights(LAST))
        first, signal = next(iter(objective.stage.measures.items()))
        scores = evaluate(objective, data.seen(ROWS), data.platform)
        temperature = None
        if data.validation is not None and task is CLASSIFICATION:
            read = gather(objective, [signal, LABEL], data.validation, data.platform)
            temperature = mending_temperature(read[signal], read[LABEL])
    return Regime(scores[first][task.metric.name], temperature)


def cautions(models: Sequence[ModelRecord], metric: Metric) -> Iterator[str]:
    """What is to be said of students and controls that did not learn all that they could."""
    for model in models:
        if model.role in ("control", "student"):
            rising = list(_still_rising(model, metric))
            yield from rising or _under_fits(model, metric)


def _still_rising(model: ModelRecord, metric: Metric) -> Iterator[str]:
    rising = [run for run in model.runs if run.rise is not None]
    gained, epochs = _mean([run.last_part for run in model.runs]), model.runs[0].epochs
    if 2 * len(rising) > len(model.runs) and gained is not None and gained > 0:
        points = metric.difference(gained, minus="-")
        if metric.higher_is_better:
            rose = f"rising: it gained {points} of validation {metric.name}"
        else:
            rose = f"learning: its validation {metric.name} fell by {points.lstrip('+')}"
        part = _epochs_of_last_part(epochs)
        last = f"the last {part}" if part > 1 else "the last"
        yield (
            f"The {model.role} is still {rose} over {last} of its {epochs} "
            "epochs. A difference may be one of speed, not "
            "of level: train longer."
        )


def _under_fits(model: ModelRecord, metric: Metric) -> Iterator[str]:
    seen = _mean([run.training for run in model.runs])
    test = _mean([run.test.last for run in model.runs])
    if not metric.share or seen is None or test is None:
        return
    right = seen if metric.higher_is_better else 1 - seen
    if right < KNOWN and metric.gain(seen, test) < SMALLEST_GAP:
        yield (
            f"The {model.role} under-fits: its {metric.name} is {metric.with_unit(seen)} on what "
            f"it was trained on and {metric.with_unit(test)} on the test set. More epochs or a "
            "larger network would bring more."
        )


def _epochs_of_last_part(epochs: int) -> int:
    return ceil(LAST_PART * epochs)


def last_part(validation: Sequence[float | None], metric: Metric) -> float | None:
    """What a network gained in the last fifth of its epochs; None where nothing tells.

    >>> from stillhouse.records.metric import ACCURACY
    >>> round(last_part([0.1, 0.6, 0.9, 0.93, 0.931], ACCURACY), 3)
    0.001
    """
    known = [value for value in validation if value is not None]
    if len(known) < len(validation) or len(known) < 2:
        return None
    back = known[-1 - min(_epochs_of_last_part(len(known)), len(known) - 1)]
    return metric.gain(known[-1], back)


def _noise(values: Sequence[float]) -> float:
    """Standard deviation of the difference of two epochs, by second differences of the last half.

    Of independent noise of variance v they have 6 v, and a difference 2 v; a straight rise has
    none. 0 where the epochs are too few to tell.
    """
    if len(values) < TELLING:
        return 0.0
    late = values[len(values) // 2 :]
    bends = [a - 2 * b + c for a, b, c in zip(late, late[1:], late[2:], strict=False)]
    return sqrt(fmean(each**2 for each in bends) / 3)


def rise(validation: Sequence[float | None], metric: Metric) -> float | None:
    """What a network gained in the last fifth of its epochs, if that tells that it still rises.

    It does not where the epochs before differ as much by chance.

    Args:
        validation: the metric after each epoch; None where there was none.
        metric: whose it is.

    >>> from stillhouse.records.metric import ACCURACY
    >>> round(rise([0.1, 0.2, 0.3, 0.4, 0.5], ACCURACY), 3)
    0.1
    >>> rise([0.1, 0.6, 0.9, 0.93, 0.931], ACCURACY) is None
    True
    """
    gained = last_part(validation, metric)
    if gained is None:
        return None
    known = [value for value in validation if value is not None]
    before = metric.gain(known[-1], known[0])
    least = max(RISING * before, NOISE * _noise(known), SMALLEST_RISE if metric.share else 0.0)
    return gained if before > 0 and gained >= least > 0 else None


def validation_of(run: StageRun) -> list[float | None]:
    """The metric on validation after each epoch, by the first measure; None for no number."""
    name = run.training.job.task.metric.name
    scores: list[dict[str, float]] = [
        next(iter(line["validation"].values()), {}) for line in run.history
    ]
    known: list[float | None] = finite([each.get(name) for each in scores])
    return known


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and 2 * len(known) > len(values) else None
