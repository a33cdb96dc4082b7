"""The student's loss, taken apart: each term against epoch, and each term's share.

Names reach plotly escaped: it reads a few HTML tags in its labels.
"""

from typing import Any

from stillhouse.report.curves import Curve, student_terms, term_curve, weighted_curve
from stillhouse.report.figures import add_band, epoch_axis
from stillhouse.report.record import RunRecord
from stillhouse.report.theme import COLOURS, TINTS, label, template


def term_figure(record: RunRecord, term: str) -> Any | None:
    """Draw one term of the student against epoch, unweighted: mean and band over seeds."""
    from plotly.graph_objects import Figure

    found = term_curve(record, term)
    if found is None:
        return None
    figure = Figure()
    add_band(figure, found, "mean", COLOURS["accent"], scale=1.0, suffix="")
    figure.update_layout(template=template(), height=230, showlegend=False)
    figure.update_xaxes(**epoch_axis(found.epochs[0], found.epochs[-1]))
    if spans_decades(found):
        figure.update_yaxes(type="log", dtick=1)
    else:
        figure.update_yaxes(rangemode="tozero" if min(found.low) >= 0 else "normal")
    return figure


def spans_decades(found: Curve) -> bool:
    """Say whether a curve is better read on a logarithmic axis: it falls to below a fiftieth.

    >>> spans_decades(Curve((1, 2), (5.0, 0.01), (5.0, 0.01), (5.0, 0.01), 1))
    True
    """
    return min(found.low) > 0 and max(found.high) / min(found.low) > 50


def share_parts(record: RunRecord) -> dict[str, tuple[Curve, str]]:
    """Return each term's weighted curve and its colour, from the bottom of the stack up.

    Empty unless two terms or more have weights and none of them is ever negative.
    """
    found = {term: weighted_curve(record, term) for term in student_terms(record)}
    parts = {term: part for term, part in found.items() if part is not None}
    if len(parts) < 2 or any(min(part.low) < 0 for part in parts.values()):
        return {}
    return {
        term: (part, TINTS[min(position, len(TINTS) - 1)])
        for position, (term, part) in enumerate(parts.items())
    }


def share_figure(record: RunRecord) -> Any | None:
    """Draw what share of the student's loss each weighted term is, stacked to 100 percent.

    The page carries the legend: there may be more terms than a small figure has room for.
    """
    from plotly.graph_objects import Figure, Scatter

    parts = share_parts(record)
    if not parts:
        return None
    figure = Figure()
    for term, (part, colour) in parts.items():
        figure.add_trace(
            Scatter(
                x=part.epochs,
                y=part.mean,
                name=label(term),
                mode="lines",
                stackgroup="loss",
                groupnorm="percent",
                fillcolor=colour,
                line={"width": 1, "color": COLOURS["paper"]},
                hovertemplate="%{y:.1f}%",
            )
        )
    figure.update_layout(template=template(), height=230, showlegend=False)
    epochs = [epoch for part, _ in parts.values() for epoch in part.epochs]
    figure.update_xaxes(**epoch_axis(min(epochs), max(epochs)))
    figure.update_yaxes(ticksuffix="%", range=(0, 100), nticks=5)
    return figure
