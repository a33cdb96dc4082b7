"""Figures of what networks say of the test rows: change class by class, reliability.

Pure functions of what the page says in words too; None where there is nothing to draw. Names reach
plotly escaped: it reads a few HTML tags in its labels.
"""

from collections.abc import Sequence
from typing import Any

from stillhouse.records.metric import Metric
from stillhouse.report.by_class import ByClass
from stillhouse.report.calibration import Calibrated
from stillhouse.report.likeness import few
from stillhouse.report.theme import COLOURS, label, template
from stillhouse.report.transfer_figures import class_axis

LOOKS = {"teacher": "ink", "control": "control", "student": "accent"}
LARGEST = 20
"""Pixels of the dot of all rows: its area is the share of the rows."""
SMALLEST = 5


def classes_figure(found: ByClass | None, metric: Metric) -> Any | None:
    """Draw how much better the student does each class than the control; of many classes none."""
    from plotly.graph_objects import Bar, Figure

    if found is None or not few(found.classes):
        return None
    rows = found.classes
    said = [
        f"{row.name}: {metric.difference(row.change)}, {metric.with_unit(row.control)} to "
        f"{metric.with_unit(row.student)} of {row.rows} rows"
        for row in rows
    ]
    figure = Figure(
        Bar(
            x=list(range(len(rows))),
            y=[metric.scale * row.change for row in rows],
            text=[label(each) for each in said],
            textposition="none",
            marker_color=[COLOURS["accent" if row.change >= 0 else "control"] for row in rows],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    figure.update_layout(
        template=template(), height=250, bargap=0.4, hovermode="closest", showlegend=False
    )
    figure.update_xaxes(**class_axis([row.name for row in rows]))
    unit = f"student \u2212 control, {metric.difference_unit}"
    figure.update_yaxes(title_text=label(unit), nticks=6, tickformat="~g")
    figure.add_hline(y=0, line={"color": COLOURS["ink"], "width": 1})
    return figure


def reliability_figure(found: Sequence[Calibrated]) -> Any | None:
    """Draw how often each role is right in each bin of its confidence; the diagonal dashed."""
    from plotly.graph_objects import Figure, Scatter

    if not found:
        return None
    ends = [0.0, 1.0]
    figure = Figure(
        Scatter(
            x=ends,
            y=ends,
            mode="lines",
            line={"color": COLOURS["muted"], "width": 1, "dash": "dash"},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    for one in found:
        curve, colour = one.curve, COLOURS[LOOKS.get(one.role, "muted")]
        bins = [at for at, count in enumerate(curve.count) if count]
        rows = sum(curve.count)
        sizes = [max(SMALLEST, LARGEST * (curve.count[at] / rows) ** 0.5) for at in bins]
        figure.add_trace(
            Scatter(
                x=[curve.confidence[at] for at in bins],
                y=[curve.right[at] for at in bins],
                customdata=[curve.count[at] for at in bins],
                name=label(one.role),
                mode="lines+markers",
                line={"color": colour, "width": 1.5},
                marker={"color": colour, "size": sizes, "line": {"width": 0}},
                cliponaxis=False,
                hovertemplate="sure %{x:.2f}, right %{y:.2f}, %{customdata} rows",
            )
        )
    figure.update_layout(template=template(), height=340, hovermode="closest")
    axis = {"range": (-0.02, 1.02), "tickvals": [0, 0.2, 0.4, 0.6, 0.8, 1]}
    figure.update_xaxes(title_text="largest probability, mean of a bin", **axis)
    figure.update_yaxes(title_text="share that is right", **axis)
    return figure
