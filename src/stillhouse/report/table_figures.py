"""What the task measures of whole tables, as text and figures of the page.

Nothing here knows a task: the record says metrics, networks, intervals and plots.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stillhouse.records.figures import FigureGain, Plot, Series, TableFigures
from stillhouse.records.metric import NOTHING, Metric
from stillhouse.report.answer_figures import LOOKS
from stillhouse.report.record import RunRecord
from stillhouse.report.theme import COLOURS, label, rgba, template

HEIGHT, LOW_HEIGHT = 380, 240
LEAST_SHARE = 0.9
"""Of the least positive x of a logarithmic axis: where it begins."""


@dataclass(frozen=True)
class Cell:
    """A value and, in small print below it, its intervals."""

    value: str
    small: tuple[str, ...] = ()


@dataclass(frozen=True)
class FigureRow:
    """One metric: of each network, and the gain of the student (None without a control)."""

    name: str
    cells: tuple[Cell, ...]
    gain: Cell | None


@dataclass(frozen=True)
class ClassRow:
    """The figure of one class, of which there are so many rows or objects."""

    count: int
    row: FigureRow


@dataclass(frozen=True)
class Drawn:
    """A plot by the name under which the page finds it."""

    name: str
    title: str
    note: str
    alt: str
    wide: bool
    figure: Any


@dataclass(frozen=True)
class FiguresSection:
    """All of one table."""

    found: TableFigures
    rows: tuple[FigureRow, ...]
    plots: tuple[Drawn, ...]
    by_class: tuple[ClassRow, ...] = ()


def heading(metric: Metric) -> str:
    """A metric with its unit, and a word where less is better.

    >>> heading(Metric(name="EER", unit="%", higher_is_better=False))
    'EER, % (less is better)'
    """
    less = "" if metric.higher_is_better else " (less is better)"
    return f"{metric.name}{f', {metric.unit}' if metric.unit else ''}{less}"


def figures_sections(record: RunRecord) -> tuple[FiguresSection, ...]:
    """A section for each table whose figures the run knows."""
    found = record.scores.figures if record.scores else ()
    return tuple(
        FiguresSection(each, tuple(figure_rows(each)), tuple(_drawn(each)), tuple(class_rows(each)))
        for each in found
    )


def figure_rows(found: TableFigures) -> Iterator[FigureRow]:
    """A row for each metric."""
    for metric in found.metrics:
        yield _figure_row(found, metric, heading(metric))


def class_rows(found: TableFigures) -> Iterator[ClassRow]:
    """A row for each class, the largest gain of the student last; without gains in their order."""
    worst = sorted(
        found.by_class,
        key=lambda one: gain.value if (gain := found.gain(one.metric)) else 0.0,
    )
    for one in worst:
        yield ClassRow(one.count, _figure_row(found, one.metric, one.name))


def _figure_row(found: TableFigures, metric: Metric, name: str) -> FigureRow:
    estimates = (network.figures.get(metric.name) for network in found.networks)
    cells = tuple(
        Cell(NOTHING)
        if one is None
        else Cell(metric.shown(one.value), _range(metric.shown(one.low), metric.shown(one.high)))
        for one in estimates
    )
    gain = _gain(metric, found.gain(metric), found.over) if found.gains else None
    return FigureRow(name, cells, gain)


def _gain(metric: Metric, gain: FigureGain | None, over: str) -> Cell:
    if gain is None:
        return Cell(NOTHING)
    ends = ((over, gain.low, gain.high), ("seeds", gain.seeds_low, gain.seeds_high))
    small = (
        f"other {who}: {metric.span(low, high)}"
        for who, low, high in ends
        if low is not None and high is not None
    )
    return Cell(metric.change(gain.value), tuple(small))


def _range(low: str, high: str) -> tuple[str, ...]:
    return () if NOTHING in (low, high) else (f"{low} to {high}",)


def _drawn(found: TableFigures) -> Iterator[Drawn]:
    for at, plot in enumerate(found.plots):
        yield Drawn(
            f"{found.table}-figures-{at}",
            plot.title,
            plot.note,
            f"{plot.title}: {plot.y} against {plot.x}",
            not (plot.bars or plot.small),
            plot_figure(plot),
        )


def plot_figure(plot: Plot) -> Any:
    """Draw lines, or bars one in front of the other."""
    from plotly.graph_objects import Bar, Figure, Scatter

    figure = Figure()
    for series in plot.series:
        colour = COLOURS[LOOKS.get(series.role, "tint-2")]
        said = "%{x:.3g}: %{y:.2f}"
        if plot.bars:
            bars = {"marker_color": rgba(colour, 0.7), "hovertemplate": said}
            figure.add_trace(Bar(x=series.x, y=series.y, name=label(series.name), **bars))
            continue
        figure.add_trace(
            Scatter(
                x=series.x,
                y=series.y,
                name=label(series.name),
                mode="lines",
                line={"color": colour, "width": 2, "shape": "hv" if plot.log_x else "linear"},
                hovertemplate=said,
            )
        )
        if series.marked:
            figure.add_trace(_marks(series, colour))
    height = LOW_HEIGHT if plot.bars or plot.small else HEIGHT
    figure.update_layout(
        template=template(), height=height, barmode="overlay", bargap=0,
        hovermode="closest" if plot.bars else "x unified",
    )  # fmt: skip
    figure.update_xaxes(title_text=label(plot.x))
    if plot.log_x:
        figure.update_xaxes(type="log", exponentformat="none", dtick=1)
    figure.update_yaxes(title_text=label(plot.y), rangemode="tozero")
    return figure


def _marks(series: Series, colour: str) -> Any:
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[x for x, _ in series.marked],
        y=[y for _, y in series.marked],
        mode="markers",
        marker={"color": colour, "size": 8},
        showlegend=False,
        hoverinfo="skip",
        cliponaxis=False,
    )


def without_classes(record: RunRecord) -> str:
    """Which parts of the page are left out, where networks name no class; "" where they do.

    >>> without_classes(RunRecord("run"))
    ''
    """
    if record.answers is None or record.scores is None or not record.answers.of:
        return ""
    if any("predicted" in said for said in record.answers.of.values()):
        return ""
    task = record.scores.task.name
    pictures = record.examples or record.boxes
    hidden = "" if pictures else " No picture of a test image is shown (data.pictures)."
    told = any(one.by_class for one in record.scores.figures)
    classes = "" if told else "no table class by class, "
    return (
        f"The task {task} names no class for an image, so there is {classes}no share of equal "
        f"answers and no calibration.{hidden}"
    )
