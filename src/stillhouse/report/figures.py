"""The metric on validation against epoch, and what all figures over epochs share.

Figures are pure functions of a record; None where the run has nothing to draw.
"""

import math
from typing import Any

from stillhouse.records.metric import Metric
from stillhouse.report.curves import Curve, validation_curve
from stillhouse.report.record import RunRecord
from stillhouse.report.theme import COLOURS, label, rgba, template
from stillhouse.verdict.spread import spread

LINES = (("control", COLOURS["control"]), ("student", COLOURS["accent"]))
MOST_TICKS = 6  # of an axis of epochs: a small figure has room for so many
FEW_EPOCHS = 8  # so short a curve is shown whole


def validation_figure(record: RunRecord) -> Any | None:
    """Draw the metric on validation against epoch: means, bands, the teacher's last.

    As long as the teacher alone has been trained, its own curve is drawn.
    """
    from plotly.graph_objects import Figure

    drawn = _curves(record, LINES)
    teacher = teacher_level(record) if drawn else None
    drawn = drawn or _curves(record, (("teacher", COLOURS["ink"]),))
    if not drawn:
        return None
    metric = record.metric
    scale, suffix = metric.scale, label(metric.suffix)
    figure = Figure()
    for stage, colour, found in drawn:
        add_band(figure, found, stage, colour, scale=scale, suffix=suffix)
    known = [found for _, _, found in drawn]
    first = min(found.epochs[0] for found in known)
    last = max(found.epochs[-1] for found in known)
    if teacher is not None:
        told = {"name": "teacher, last epoch", "colour": COLOURS["ink"], "suffix": suffix}
        add_level(figure, scale * teacher, (first, last), **told)
    figure.update_layout(template=template(), height=380, legend_traceorder="reversed")
    figure.update_xaxes(**epoch_axis(first, last))
    figure.update_yaxes(ticksuffix=suffix, range=_settled_range(known, teacher, metric))
    return figure


def early_epochs_hidden(figure: Any) -> bool:
    """Say whether the axis of a validation figure leaves out values of it."""
    low, high = figure.layout.yaxis.range
    lowest = min(min(trace.y) for trace in figure.data)
    return bool(lowest < low or max(max(trace.y) for trace in figure.data) > high)


def teacher_level(record: RunRecord) -> float | None:
    """Return the teacher's metric on validation at its last epoch, mean over its runs."""
    teacher = record.role("teacher")
    told = spread(run.validation.last for run in teacher.runs) if teacher else None
    if told is not None:
        return told.mean
    found = validation_curve(record, "teacher")
    return found.mean[-1] if found else None


def _curves(record: RunRecord, stages: tuple[tuple[str, str], ...]) -> list[tuple[str, str, Curve]]:
    found = ((stage, colour, validation_curve(record, stage)) for stage, colour in stages)
    return [(stage, colour, line) for stage, colour, line in found if line is not None]


def add_band(
    figure: Any, found: Curve, name: str, colour: str, *, scale: float, suffix: str
) -> None:
    """Add a curve: a line for the mean and, with two seeds or more, a band from low to high."""
    from plotly.graph_objects import Scatter

    if found.seeds > 1:
        figure.add_trace(
            Scatter(
                x=found.epochs + found.epochs[::-1],
                y=[scale * value for value in found.high + found.low[::-1]],
                fill="toself",
                fillcolor=rgba(colour, 0.16),
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
            )
        )
    figure.add_trace(
        Scatter(
            x=found.epochs,
            y=[scale * value for value in found.mean],
            customdata=[
                (scale * low, scale * high) for low, high in zip(found.low, found.high, strict=True)
            ],
            name=name,
            mode="lines" if len(found.epochs) > 1 else "markers",
            line={"color": colour, "width": 2.25},
            marker={"color": colour, "size": 7},
            hovertemplate=_hover(found, suffix),
        )
    )


def _hover(found: Curve, suffix: str) -> str:
    number = _digits(suffix)
    value = f"%{{y:{number}}}{suffix}"
    if found.seeds == 1:
        return value
    return f"{value} (%{{customdata[0]:{number}}} to %{{customdata[1]:{number}}})"


def add_level(
    figure: Any, level: float, ends: tuple[int, int], *, name: str, colour: str, suffix: str
) -> None:
    """Add a dashed line at a value that belongs to no epoch, from end to end."""
    from plotly.graph_objects import Scatter

    figure.add_trace(
        Scatter(
            x=list(range(ends[0], ends[1] + 1)),
            y=[level] * (ends[1] - ends[0] + 1),
            name=name,
            mode="lines",
            line={"color": colour, "width": 1.5, "dash": "dash"},
            hovertemplate=f"%{{y:{_digits(suffix)}}}{suffix}",
        )
    )


def _digits(suffix: str) -> str:
    return ".2f" if suffix else ".4g"


def epoch_axis(first: int, last: int) -> dict[str, Any]:
    """Return the axis from one epoch to another, with whole ticks.

    >>> epoch_axis(1, 30)["tickvals"], epoch_axis(2, 4)["tickvals"], epoch_axis(1, 1)["tickvals"]
    ([5, 10, 15, 20, 25, 30], [2, 3, 4], [1])
    """
    steps = (base * 10**power for power in range(9) for base in (1, 2, 5))
    step = next(step for step in steps if (last - first) / step < MOST_TICKS)
    ticks = list(range(step * -(-first // step), last + 1, step))
    return {"title_text": "epoch", "range": padded(first, last), "tickvals": ticks}


def padded(first: int, last: int) -> tuple[float, float]:
    """Return the range of an epoch axis; a single epoch stands in the middle.

    >>> padded(1, 30), padded(1, 1)
    ((1, 30), (0.5, 1.5))
    """
    return (first, last) if last > first else (first - 0.5, last + 0.5)


def _settled_range(
    curves: list[Curve], teacher: float | None, metric: Metric
) -> tuple[float, float]:
    """Leave the steep first quarter out of view, so that the differences after it show."""
    settled: list[float] = [] if teacher is None else [teacher]
    for found in curves:
        start = math.ceil(len(found.epochs) / 4) if len(found.epochs) >= FEW_EPOCHS else 0
        settled += [*found.low[start:], *found.high[start:]]
    low, high = metric.scale * min(settled), metric.scale * max(settled)
    margin = max(0.06 * (high - low), metric.scale / 400)
    return low - margin, high + margin
