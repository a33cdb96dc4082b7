"""Intervals of figures over images, of networks that were measured on the same resamples."""

from collections.abc import Mapping
from dataclasses import dataclass

from stillhouse.errors import DataError
from stillhouse.records.figures import FigureGain, NetworkFigures
from stillhouse.tasks.gains import CONTROL, STUDENT
from stillhouse.verification.people import Resamples


@dataclass(frozen=True)
class OverImages:
    """Values of networks on the images and on resamples of them.

    Args:
        networks: (role, seed) of each.
        names: of the metrics, of which more is better.
        found: [R, networks, metrics].
    """

    networks: tuple[tuple[str, int], ...]
    names: tuple[str, ...]
    found: Resamples


def with_intervals(one: NetworkFigures, over: OverImages) -> NetworkFigures:
    """The figures of a role, of the metrics that were resampled with an interval over images."""
    places = [at for at, (role, _) in enumerate(over.networks) if role == one.role]
    figures = dict(one.figures)
    for at, name in enumerate(over.names):
        if name in figures:
            low, high = ends(over.found.of(lambda v, at=at: v[..., places, at].mean(-1)))  # type: ignore[misc]
            figures[name] = figures[name].model_copy(update={"low": low, "high": high})
    return one.model_copy(update={"figures": figures})


def gains_with_intervals(
    gains: Mapping[str, FigureGain], over: OverImages
) -> dict[str, FigureGain]:
    """The gains of student over control, with an interval for other images that both see."""
    seeds = [s for r, s in over.networks if r == STUDENT and (CONTROL, s) in over.networks]
    mine, theirs = ([over.networks.index((role, seed)) for seed in seeds]
                    for role in (STUDENT, CONTROL))  # fmt: skip
    told = dict(gains)
    for at, name in enumerate(over.names):
        if name in told and seeds:
            gain = over.found.of(lambda v, at=at: (v[..., mine, at] - v[..., theirs, at]).mean(-1))  # type: ignore[misc]
            low, high = ends(gain)
            told[name] = told[name].model_copy(update={"low": low, "high": high})
    return told


def ends(of: Resamples) -> tuple[float | None, float | None]:
    """The interval; (None, None) where too few resamples have a value."""
    try:
        interval = of.interval()
    except DataError:
        return None, None
    return interval.low, interval.high
