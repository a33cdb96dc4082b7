"""Student accuracy over the study's axis: the teacher's accuracy, or a setting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from stillhouse.diagnostics.spread import Spread
from stillhouse.report.study_figures import control_level
from stillhouse.report.study_record import Arm, StudyRecord, tested
from stillhouse.report.study_rows import controls
from stillhouse.report.theme import COLOURS, TINTS, template
from stillhouse.report.values import number, text

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
    """Draw test accuracy (percent) of the arms against the axis, a line per other setting.

    Arms that differ in nothing but the axis are one series.
    """
    from plotly.graph_objects import Figure

    series = _series(record, _teacher_at if record.axis == TEACHER else _setting_at)
    if not series:
        return None
    figure = Figure()
    for position, (name, points) in enumerate(series.items()):
        _add_series(figure, name, points, position, joined=name != ALONE)
    level = control_level(record)
    values = [point.at for points in series.values() for point in points]
    if level is not None:
        figure.add_hline(
            y=100 * level,
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
    figure.update_yaxes(ticksuffix="%", title_text="student, test accuracy")
    figure.update_xaxes(**_x_axis(record, values))
    return figure


def _x_axis(record: StudyRecord, values: Sequence[float | str]) -> dict[str, Any]:
    if record.axis == TEACHER:
        return {"title_text": "teacher, test accuracy", "ticksuffix": "%", "showgrid": True}
    title = {"title_text": TITLES.get(record.axis, escape(record.axis)), "showgrid": True}
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


def _series(record: StudyRecord, place: Callable[[Arm], _Point | None]) -> Series:
    found: Series = {}
    for arm in record.ranked:
        point = place(arm)
        if point is not None:
            found.setdefault(_others(arm, record), []).append(point)
    alone = [name for name, points in found.items() if len(points) == 1]
    if len(found) > MANY and len(alone) > 1:  # as many colours as arms tell nothing
        found[ALONE] = [found.pop(name)[0] for name in alone]
    for points in found.values():
        points.sort(key=lambda point: (isinstance(point.at, str), point.at))
    return found


def _teacher_at(arm: Arm) -> _Point | None:
    teacher = tested(arm.teachers)
    if teacher is None or arm.test is None:
        return None
    return _Point(100 * teacher.mean, arm.test, arm.name, teacher)


def _setting_at(arm: Arm) -> _Point | None:
    if arm.test is None or arm.at is None:
        return None
    value = number(arm.at)
    return _Point(escape(text(arm.at)) if value is None else value, arm.test, arm.name)


def _others(arm: Arm, record: StudyRecord) -> str:
    """What an arm sets beside the axis."""
    rest = {
        key: value
        for key, value in arm.settings.items()
        if key != record.axis and not (record.axis == TEACHER and key.startswith("teacher."))
    }
    method = rest.pop("method.name", arm.method)
    names = [method]
    if record.axis.startswith(TRANSFER):  # over images, what made them is what differs
        made = [rest.pop(key, "") for key in ("transfer.method.name", "transfer.method")]
        several = len({each.method for each in record.arms}) > 1
        made = [*filter(None, made)] or [*filter(None, [arm.made_by])]  # what all have in common
        names = [*made, *([method] if several else [])] or [method]
    return ", ".join([*names, *(f"{_short(key)}={value}" for key, value in rest.items())])


def _short(key: str) -> str:
    """The last part of a dotted key, or the one before where the last only names.

    >>> _short("teacher.model"), _short("method.alpha")
    ('teacher', 'alpha')
    """
    *above, last = key.split(".")
    return above[-1] if above and last in ("name", "model", "source") else last


def _add_series(
    figure: Any, name: str, points: Sequence[_Point], position: int, *, joined: bool
) -> None:
    from plotly.graph_objects import Scatter

    colour = TINTS[position % (len(TINTS) - 1)]
    many = any(point.teacher and point.teacher.half is not None for point in points)
    joined &= len({point.at for point in points}) == len(points) > 1
    figure.add_trace(
        Scatter(
            x=[point.at for point in points],
            y=[100 * point.found.mean for point in points],
            error_y=_bars([point.found for point in points], colour),
            error_x=_bars([point.teacher for point in points], colour) if many else None,
            text=[_said(point) for point in points],
            name=escape(name),
            mode="lines+markers" if joined else "markers",
            line={"color": colour, "width": 1.5},
            marker={"color": colour, "size": 9, "symbol": SYMBOLS[position % len(SYMBOLS)]},
            hovertemplate="%{text}<extra></extra>",
        )
    )


def _bars(found: Sequence[Spread | None], colour: str) -> dict[str, Any]:
    halves = [100 * (each.half or 0.0) if each else 0.0 for each in found]
    return {"type": "data", "array": halves, "thickness": 1.5, "width": 4, "color": colour}


def _said(point: _Point) -> str:
    half = "" if point.found.half is None else f" ± {100 * point.found.half:.2f}"
    return f"{escape(point.name)}: {100 * point.found.mean:.2f}%{half}"


def _add_controls(figure: Any, record: StudyRecord) -> None:
    """The controls of the arms, each where its arms are."""
    from plotly.graph_objects import Scatter

    place = _teacher_at if record.axis == TEACHER else _setting_at
    dots: dict[tuple[float | str, str], float] = {}
    for one in controls(record):
        found = tested(one.runs)
        for arm in record.ranked:
            point = place(arm) if arm.name in one.arms else None
            if point is not None and found is not None:
                dots[point.at, one.about] = 100 * found.mean
    if dots:
        figure.add_trace(
            Scatter(
                x=[at for at, _ in dots],
                y=list(dots.values()),
                text=[f"control, {escape(about)}: {y:.2f}%" for (_, about), y in dots.items()],
                name="control",
                mode="markers",
                marker={"color": COLOURS["control"], "size": 11, "symbol": "line-ew-open"},
                hovertemplate="%{text}<extra></extra>",
            )
        )
