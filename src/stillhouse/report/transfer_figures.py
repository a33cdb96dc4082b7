"""Figures of a transfer set: what the teacher was to say of its images, and what it says.

All in the teacher's colour: dark is what it says, open circles are what it was asked to say. Names
reach plotly escaped: it reads a few HTML tags in its labels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stillhouse.records.gallery import Gallery
from stillhouse.report.likeness import few
from stillhouse.report.theme import COLOURS, label, mixed, template

HEIGHT = 280
LONGEST = 19
"""Letters of a class's name on an axis."""
RANKS = 20
"""Largest probabilities that are drawn: of many classes the rest is next to nothing."""
ASKED = {"color": COLOURS["muted"], "symbol": "circle-open", "size": 9, "line": {"width": 1.5}}


def transfer_figures(gallery: Gallery | None) -> Mapping[str, Any]:
    """Return the figures by name, in the order in which the page shows them; none without a set."""
    if gallery is None:
        return {}
    return {
        "transfer-concentration": concentration_figure(gallery),
        "transfer-peaks": peaks_figure(gallery),
        "transfer-balance": balance_figure(gallery),
    }


def concentration_figure(gallery: Gallery) -> Any:
    """Draw the mean of the sorted probabilities, largest first: a line for each beta."""
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    groups = gallery.facts.groups
    for at, group in enumerate(groups):
        name = "all images" if group.beta is None else f"beta {group.beta:g}"
        depth = 1.0 - 0.6 * at / max(len(groups) - 1, 1)
        achieved = gallery.achieved[at, :RANKS].tolist()
        ranks = list(range(1, len(achieved) + 1))
        figure.add_trace(
            Scatter(
                x=ranks,
                y=achieved,
                name=name,
                mode="lines",
                line={"color": mixed(COLOURS["ink"], depth), "width": 2},
                hovertemplate="%{y:.3f}",
            )
        )
        if gallery.target is not None:
            figure.add_trace(
                Scatter(
                    x=ranks,
                    y=gallery.target[at, :RANKS].tolist(),
                    name=f"{name}, asked",
                    mode="markers",
                    marker={**ASKED, "color": mixed(COLOURS["ink"], depth)},
                    cliponaxis=False,
                    hovertemplate="%{y:.3f}",
                    showlegend=False,
                )
            )
    figure.update_layout(template=template(), height=HEIGHT, showlegend=len(groups) > 1)
    last = len(figure.data[0].x)
    step = 1 if last <= 10 else 2
    figure.update_xaxes(title_text="class, by probability", dtick=step, range=(0.5, last + 0.5))
    figure.update_yaxes(title_text="mean probability", nticks=6, range=_upwards(figure))
    return figure


def peaks_figure(gallery: Gallery) -> Any:
    """Draw the mean of the largest probability for each class that the teacher gives."""
    from plotly.graph_objects import Figure, Scatter

    facts = gallery.facts
    figure = Figure()
    at = list(range(len(facts.classes)))
    said = {"color": COLOURS["ink"], "size": 6}
    shown = [("teacher", facts.achieved_peak, said), ("asked", facts.target_peak, ASKED)]
    for name, values, marker in shown:
        if any(value is not None for value in values):
            figure.add_trace(
                Scatter(
                    x=at,
                    y=values,
                    name=name,
                    mode="markers",
                    marker=marker,
                    cliponaxis=False,
                    hovertemplate="%{y:.3f}",
                )
            )
    figure.update_layout(template=template(), height=HEIGHT, showlegend=False)
    figure.update_xaxes(**class_axis(facts.classes))
    figure.update_yaxes(title_text="largest probability, mean", nticks=6, range=_upwards(figure))
    return figure


def _upwards(figure: Any) -> tuple[float, float]:
    """From 0 to the highest point, with room for a circle at both ends."""
    highest = max(value for trace in figure.data for value in trace.y if value is not None)
    return -0.04 * highest, 1.06 * highest


def balance_figure(gallery: Gallery) -> Any:
    """Draw how many images the teacher gives each class, and for how many it was asked."""
    from plotly.graph_objects import Bar, Figure, Scatter

    facts = gallery.facts
    at = list(range(len(facts.classes)))
    figure = Figure()
    bar = {"name": "given by the teacher", "marker_color": COLOURS["tint-3"]}
    figure.add_trace(Bar(x=at, y=facts.balance.given, hovertemplate="%{y}", **bar))
    if facts.balance.asked is not None:
        mark = {"symbol": "line-ew-open", "size": 16 if len(at) <= 10 else 9, "line": {"width": 2}}
        figure.add_trace(
            Scatter(
                x=at,
                y=facts.balance.asked,
                name="asked for",
                mode="markers" if few(at) else "lines",
                marker={**mark, "color": COLOURS["ink"]},
                line={"color": COLOURS["ink"], "width": 1.5, "shape": "hvh"},
                hovertemplate="%{y}",
            )
        )
    figure.update_layout(
        template=template(), height=HEIGHT, bargap=0.35 if few(at) else 0.0, showlegend=False
    )
    figure.update_xaxes(**class_axis(facts.classes))
    figure.update_yaxes(title_text="images", nticks=6, rangemode="tozero")
    return figure


def class_axis(names: Sequence[str]) -> dict[str, Any]:
    """An axis of classes; many are numbered, not named."""
    if not few(names):
        return {"title_text": "class, by number"}
    longest = max(len(name) for name in names)
    upright = -90 if len(names) > 10 and longest > 3 else None  # None: as plotly finds room
    return {
        "title_text": "class",
        "tickvals": list(range(len(names))),
        "ticktext": [label(shortened(name)) for name in names],
        "tickangle": 0 if longest <= 3 else upright,
    }


def shortened(name: str) -> str:
    """A name that an axis has room for.

    >>> shortened("cat"), shortened("a house with a very long name")
    ('cat', 'a house with a ver…')
    """
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
