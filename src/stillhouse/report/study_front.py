"""The front of a study: which students nothing is both faster and better than."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.records.metric import Metric
from stillhouse.report.short_names import short_names
from stillhouse.report.study_record import StudyRecord
from stillhouse.report.theme import COLOURS, label, template
from stillhouse.report.wording import milliseconds
from stillhouse.verdict.spread import Spread

BATCH = "1"
"""One answer at a time is what whoever waits for it feels."""


@dataclass(frozen=True)
class Point:
    """An arm: milliseconds of one answer, and the test metric of its seeds."""

    name: str
    short: str
    milliseconds: float
    found: Spread


def points(record: StudyRecord) -> tuple[Point, ...]:
    """The arms whose student was timed, the fastest first.

    Arms of one student take the same time, and what was measured differs by chance: they get the
    median. Empty unless the students are of two models or more, since there is no front then.
    """
    times: dict[str, list[float]] = {}
    for arm, _ in record.scored:
        taken = arm.costs.milliseconds.get(BATCH) if arm.costs else None
        if taken is not None:
            times.setdefault(arm.student_model, []).append(taken)
    if len(times) < 2:
        return ()
    short = short_names(arm.name for arm in record.arms)
    known = [
        Point(arm.name, short[arm.name], statistics.median(times[arm.student_model]), found)
        for arm, found in record.scored
        if arm.student_model in times
    ]
    return tuple(sorted(known, key=lambda point: (point.milliseconds, -record.merit(point.found))))


def front(found: Sequence[Point], metric: Metric) -> tuple[Point, ...]:
    """The points that no other is both as fast as and better than; ``found`` is fastest first."""
    best: list[Point] = []
    for point in found:
        if not best or metric.gain(point.found.mean, best[-1].found.mean) > 0:
            best.append(point)
    return tuple(best)


def front_figure(record: StudyRecord) -> Any | None:
    """Draw the test metric of the arms over the time of an answer, their front joined."""
    from plotly.graph_objects import Figure, Scatter

    found, metric = points(record), record.metric
    if not found:
        return None
    best = front(found, metric)
    others = [point for point in found if point not in best]
    figure = Figure()
    for shown, colour, mode, position in (
        (others, COLOURS["control"], "markers", "bottom center"),
        (best, COLOURS["accent"], "lines+markers+text", "top center"),
    ):
        figure.add_trace(
            Scatter(
                x=[point.milliseconds for point in shown],
                y=[metric.scale * point.found.mean for point in shown],
                text=[label(point.short) for point in shown],
                customdata=[label(_said(point, metric)) for point in shown],
                mode=mode,
                textposition=position,
                textfont={"size": 12, "color": COLOURS["text"]},
                line={"color": colour, "width": 1.5, "shape": "hv"},
                marker={"color": colour, "size": 9},
                cliponaxis=False,
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
    figure.update_layout(
        template=template(), height=360, showlegend=False, hovermode="closest", margin={"t": 24}
    )
    spare = 0.12 * (found[-1].milliseconds - found[0].milliseconds)
    reach = (found[0].milliseconds - spare, found[-1].milliseconds + spare)
    figure.update_xaxes(title_text="milliseconds of one answer", range=reach, showgrid=True)
    figure.update_yaxes(
        title_text=label(f"student, test {metric.name}"), ticksuffix=label(metric.suffix)
    )
    return figure


def _said(point: Point, metric: Metric) -> str:
    half = "" if point.found.half is None else f" ± {metric.shown(point.found.half)}"
    reached = f"{metric.with_unit(point.found.mean)}{half}"
    return f"{point.name}: {reached} in {milliseconds(point.milliseconds)}"
