"""Figures of networks over seeds, and the gain of the student over the control."""

from collections.abc import Mapping, Sequence

import numpy as np

from stillhouse.records.figures import Estimate, FigureGain, NetworkFigures
from stillhouse.records.metric import Metric
from stillhouse.verdict.judgement import LEAST
from stillhouse.verdict.spread import spread

STUDENT, CONTROL = "student", "control"


def gain_over_seeds(
    by_seed: Sequence[float], low: float | None = None, high: float | None = None
) -> FigureGain:
    """The mean gain, with a t-interval for other seeds of `LEAST` seeds or more.

    Args:
        by_seed: gains, positive where the student is better; at least one.
        low, high: the interval for what else is resampled, where something is.

    >>> found = gain_over_seeds([0.1, 0.2, 0.3])
    >>> f"{found.value:.1f} ({found.seeds_low:.2f} to {found.seeds_high:.2f})"
    '0.2 (-0.05 to 0.45)'
    """
    found = spread(by_seed)
    half = found.half if found and len(by_seed) >= LEAST else None
    mean = float(np.mean(by_seed))
    return FigureGain(
        value=mean,
        by_seed=tuple(by_seed),
        low=low,
        high=high,
        seeds_low=None if half is None else mean - half,
        seeds_high=None if half is None else mean + half,
    )


def network_figures(role: str, by_seed: Mapping[int, Mapping[str, float]]) -> NetworkFigures:
    """All figures of a role: of each their mean over its seeds.

    >>> network_figures("student", {0: {"mAP": 0.25}, 1: {"mAP": 0.75}}).figures["mAP"].value
    0.5
    """
    names = dict.fromkeys(name for one in by_seed.values() for name in one)
    known = {name: tuple(one[name] for one in by_seed.values()) for name in names}
    figures = {
        name: Estimate(value=sum(values) / len(values), by_seed=values)
        for name, values in known.items()
    }
    return NetworkFigures(role=role, seeds=tuple(by_seed), figures=figures)


def gains_by_seed(
    found: Mapping[tuple[str, int], Mapping[str, float]], metrics: Sequence[Metric]
) -> dict[str, FigureGain]:
    """The gain of the student by each metric, of the seeds that the control has, too.

    Args:
        found: figures by role and seed.
        metrics: of which more is better.
    """
    pairs = [
        (one, found[CONTROL, seed])
        for (role, seed), one in found.items()
        if role == STUDENT and (CONTROL, seed) in found
    ]
    return {
        metric.name: gain_over_seeds([mine[metric.name] - other[metric.name]
                                      for mine, other in pairs])
        for metric in metrics
        if pairs and all(metric.name in one for pair in pairs for one in pair)
    }  # fmt: skip
