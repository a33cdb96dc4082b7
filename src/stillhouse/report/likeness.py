"""How alike student and teacher became: embeddings over epochs, heads class by class."""

import statistics
from collections.abc import Sequence
from typing import Any

from stillhouse.records.files import Reading
from stillhouse.report.diagnostics import Panel, diagnostic_figure, ended_at, final_runs
from stillhouse.report.record import RunRecord
from stillhouse.report.theme import COLOURS, label, rgba, template

CKA, COSINE, HEADS = "embedding_cka", "embedding_cosine", "head_cosine"
PANELS = (
    (CKA, "CKA of the embeddings"),
    (COSINE, "Cosine of the embeddings"),
    (HEADS, "Cosine of the heads"),
)
FEW_CLASSES = 25
"""So many bars can be told apart, and named."""
LOOKS = {"student": "accent", "control": "control"}
LEAST_SPAN = 0.2
"""Of the axis of a cosine: what moves less than this is seen to move little."""
BINS = 40
"""Of the distribution, over the whole of -1 to 1 or as much of it as there is."""


def likeness_panels(record: RunRecord) -> tuple[Panel, ...]:
    """Return a panel for each measure of likeness that the student's epochs have."""
    panels = []
    for diagnostic, title in PANELS:
        figure = diagnostic_figure(record, diagnostic)
        if figure is not None:
            figure.update_yaxes(range=_span(figure))
            alt = f"{title} of student and teacher against epoch, the control's last as dashes"
            panels.append(
                Panel(f"likeness-{diagnostic}", title, ended_at(record, diagnostic), alt, figure)
            )
    return tuple(panels)


def _span(figure: Any) -> tuple[float, float]:
    values = [value for trace in figure.data for value in trace.y]
    low, high = min(values), max(values)
    spare = max(LEAST_SPAN - (high - low), 0.08 * (high - low)) / 2
    return low - spare, high + spare


def heads_figure(record: RunRecord) -> Any | None:
    """Draw the cosine of student's and teacher's head for each class, at the last epoch.

    Mean over the seeds, the control's beside it. Many classes are drawn as a distribution.
    """
    student, control = heads_by_class(record, "student"), heads_by_class(record, "control")
    if len(student) < 2:
        return None
    control = control if len(control) == len(student) else ()
    figure = _bars(record, student, control) if few(student) else _distribution(student, control)
    figure.update_layout(template=template(), height=260)
    return figure


def few(classes: Sequence[Any]) -> bool:
    """Say whether each class gets its own bar."""
    return len(classes) <= FEW_CLASSES


def heads_by_class(record: RunRecord, role: str) -> tuple[float | None, ...]:
    """Return the cosine of each class's weights, mean over the seeds; empty where it is unknown.

    Of a student whose run has not ended, by the last epoch of each seed.
    """
    shown: list[Reading] = [run.diagnostics.get(HEADS) for run in final_runs(record, role)]
    if not shown:
        last = {epoch.seed: epoch for epoch in record.epochs if epoch.stage == role}
        shown = [epoch.diagnostics.get(HEADS) for epoch in last.values()]
    lists = [reading for reading in shown if isinstance(reading, list)]
    if not lists or len({len(reading) for reading in lists}) > 1:
        return ()
    return tuple(_mean(values) for values in zip(*lists, strict=True))


def _mean(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


Cosines = tuple[float | None, ...]


def _bars(record: RunRecord, student: Cosines, control: Cosines) -> Any:
    from plotly.graph_objects import Bar, Figure

    names = record.scores.data.class_names if record.scores else ()
    told = names if len(names) == len(student) else tuple(str(at) for at in range(len(student)))
    at = list(range(len(student)))
    figure = Figure()
    for role, values in (("student", student), ("control", control)):
        if values:
            bar = {"name": role, "marker_color": COLOURS[LOOKS[role]]}
            figure.add_trace(Bar(x=at, y=values, hovertemplate="%{y:.3f}", **bar))
    figure.update_layout(bargap=0.4)
    figure.update_xaxes(title_text="class", tickvals=at, ticktext=[label(name) for name in told])
    figure.update_yaxes(title_text="cosine", nticks=6)
    return figure


def _distribution(student: Cosines, control: Cosines) -> Any:
    import numpy as np
    from plotly.graph_objects import Bar, Figure

    known = [value for value in (*student, *control) if value is not None]
    low, high = min(known, default=-1.0), max(known, default=1.0)
    edges = np.linspace(low, max(high, low + 1e-3), BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    figure = Figure()
    for role, values in (("control", control), ("student", student)):
        if values:
            colour = rgba(COLOURS[LOOKS[role]], 0.6)
            counts, _ = np.histogram([value for value in values if value is not None], edges)
            bars = {"x": middles.tolist(), "y": counts.tolist(), "width": edges[1] - edges[0]}
            figure.add_trace(Bar(**bars, name=role, marker_color=colour))
    figure.update_traces(hovertemplate="%{y} classes at %{x:.2f}")
    figure.update_layout(barmode="overlay", bargap=0.08, legend_traceorder="reversed")
    figure.update_xaxes(title_text="cosine of a class's weights")
    figure.update_yaxes(title_text="classes", nticks=6)
    return figure
