"""The test metric of the students over the study's axis: the teacher's, or a setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from stillhouse.recipes.arms import arm_name
from stillhouse.records.metric import Metric
from stillhouse.records.study import Arm
from stillhouse.report.short_names import short_names
from stillhouse.report.study_figures import control_level, error_bars
from stillhouse.report.study_record import StudyRecord, settings_of, tested
from stillhouse.report.study_rows import controls
from stillhouse.report.theme import COLOURS, LINES, label, template
from stillhouse.report.wording import text
from stillhouse.verdict.spread import Spread

TEACHER = "teacher"
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "cross")
MANY = 6
ALONE = "other arms, by name"
DECADES = 20.0
"""Ratio of largest to smallest setting from which on the axis is logarithmic."""
APART = 1.4
"""Ratio of neighbouring settings from which on each is named on a logarithmic axis."""
TRANSFER = "transfer."
TITLES = {"transfer.count": "synthetic images (transfer.count)"}


@dataclass(frozen=True)
class _Point:
    at: float | str
    found: Spread
    name: str
    teacher: Spread | None = None


Series = dict[str, list[_Point]]


def axis_figure(record: StudyRecord) -> Any | None:
    """Draw the test metric of the arms against the axis, a line per other setting.

    Arms that differ in nothing but the axis are one series.
    """
    from plotly.graph_objects import Figure

    series, metric = _series(record), record.metric
    if not series:
        return None
    figure = Figure()
    for position, (name, points) in enumerate(series.items()):
        _add_series(figure, name, points, position, metric, joined=name != ALONE)
    level = control_level(record)
    values = [point.at for points in series.values() for point in points]
    if level is not None:
        figure.add_hline(
            y=metric.scale * level,
            line={"color": COLOURS["ink"], "width": 1.25, "dash": "dash"},
            annotation_text="control",
            annotation_position="top left",
        )
    else:
        _add_controls(figure, record)
    figure.update_layout(
        template=template(),
        height=400,
        hovermode="closest",
        showlegend=len(figure.data) > 1,
        margin={"t": 24},
    )
    figure.update_yaxes(
        ticksuffix=label(metric.suffix), title_text=label(f"student, test {metric.name}")
    )
    figure.update_xaxes(**_x_axis(record, values))
    return figure


def _x_axis(record: StudyRecord, values: Sequence[float | str]) -> dict[str, Any]:
    axis = record.axis or ""
    if axis == TEACHER:
        metric = record.metric
        said = f"teacher, test {metric.name}"
        return {"title_text": label(said), "ticksuffix": label(metric.suffix), "showgrid": True}
    title = {"title_text": TITLES.get(axis, label(axis)), "showgrid": True}
    numeric = [value for value in values if isinstance(value, float)]
    if len(numeric) < len(values):
        return {**title, "type": "category"}
    if min(numeric) > 0 and max(numeric) / min(numeric) >= DECADES:
        return {**title, "type": "log", **_named(numeric)}
    return title


def _named(values: Sequence[float]) -> dict[str, Any]:
    """Ticks at the settings themselves, where they are few and apart.

    >>> _named([600.0, 6000.0, 600.0])["ticktext"], _named([1.0, 1.1])
    (['600', '6,000'], {})
    """
    once = sorted(set(values))
    if len(once) > MANY or any(b / a < APART for a, b in pairwise(once)):
        return {}
    return {"tickvals": once, "ticktext": [f"{value:,.10g}" for value in once]}


def _series(record: StudyRecord) -> Series:
    found: Series = {}
    for arm, shown in record.scored:
        point = _point(arm, shown, record)
        if point is not None:
            found.setdefault(_others(arm, record), []).append(point)
    alone = [name for name, points in found.items() if len(points) == 1]
    if len(found) > MANY and len(alone) > 1:  # as many colours as arms tell nothing
        found[ALONE] = [found.pop(name)[0] for name in alone]
    short = short_names(name for name in found if name != ALONE)
    found = {short.get(name, name): points for name, points in found.items()}
    for points in found.values():
        points.sort(key=lambda point: (isinstance(point.at, str), point.at))
    return found


def _point(arm: Arm, found: Spread, record: StudyRecord) -> _Point | None:
    """Where an arm stands; None where it has no place on the axis."""
    if record.axis == TEACHER:
        teacher = tested(arm.teacher)
        at = None if teacher is None else record.metric.scale * teacher.mean
        return None if at is None else _Point(at, found, arm.name, teacher)
    if arm.at is None:
        return None
    is_number = isinstance(arm.at, int | float) and not isinstance(arm.at, bool)
    return _Point(float(arm.at) if is_number else label(text(arm.at)), found, arm.name)


def _others(arm: Arm, record: StudyRecord) -> str:
    """What an arm sets beside the axis."""
    axis = record.axis or ""
    rest = {
        key: value
        for key, value in settings_of(arm).items()
        if key != axis and not (axis == TEACHER and key.startswith("teacher."))
    }
    method = rest.pop("method.name", arm.method)
    names = [method]
    if axis.startswith(TRANSFER):  # over images, what made them is what differs
        made = [rest.pop(key, "") for key in ("transfer.method.name", "transfer.method")]
        several = len({each.method for each in record.arms}) > 1
        common = [arm.transfer.method] if arm.transfer else []
        made = [*filter(None, made)] or common
        names = [*made, *([method] if several else [])] or [method]
    return f"{', '.join(names)} {arm_name(rest)}".strip()


def _add_series(
    figure: Any,
    name: str,
    points: Sequence[_Point],
    position: int,
    metric: Metric,
    *,
    joined: bool,
) -> None:
    from plotly.graph_objects import Scatter

    colour = LINES[position % len(LINES)]
    bars = partial(error_bars, colour=colour, metric=metric, thickness=1.5)
    many = any(point.teacher and point.teacher.half is not None for point in points)
    joined &= len({point.at for point in points}) == len(points) > 1
    figure.add_trace(
        Scatter(
            x=[point.at for point in points],
            y=[metric.scale * point.found.mean for point in points],
            error_y=bars([point.found for point in points]),
            error_x=bars([point.teacher for point in points]) if many else None,
            text=[_said(point, metric) for point in points],
            name=label(name),
            mode="lines+markers" if joined else "markers",
            line={"color": colour, "width": 1.5},
            marker={"color": colour, "size": 9, "symbol": SYMBOLS[position % len(SYMBOLS)]},
            hovertemplate="%{text}<extra></extra>",
        )
    )


def _said(point: _Point, metric: Metric) -> str:
    half = "" if point.found.half is None else f" ± {metric.shown(point.found.half)}"
    return label(f"{point.name}: {metric.with_unit(point.found.mean)}{half}")


def _add_controls(figure: Any, record: StudyRecord) -> None:
    """The controls of the arms, each where its arms are."""
    from plotly.graph_objects import Scatter

    metric = record.metric
    dots: dict[tuple[float | str, str], float] = {}
    for one in controls(record):
        found = tested(one.runs)
        for arm, shown in record.scored:
            point = _point(arm, shown, record) if arm.name in one.arms else None
            if point is not None and found is not None:
                dots[point.at, one.about] = found.mean
    if dots:
        figure.add_trace(
            Scatter(
                x=[at for at, _ in dots],
                y=[metric.scale * mean for mean in dots.values()],
                text=[
                    label(f"control, {about}: {metric.with_unit(mean)}")
                    for (_, about), mean in dots.items()
                ],
                name="control",
                mode="markers",
                marker={"color": COLOURS["control"], "size": 11, "symbol": "line-ew-open"},
                hovertemplate="%{text}<extra></extra>",
            )
        )
