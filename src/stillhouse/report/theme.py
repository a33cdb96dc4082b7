"""Colours, fonts and labels, shared by the page and its figures so that they agree."""

from html import escape
from typing import Any

from stillhouse.report.palette import LIGHT

FONT = (
    "-apple-system, BlinkMacSystemFont, Segoe UI, Roboto, Helvetica Neue, Noto Sans, "
    "Liberation Sans, Arial, sans-serif"
)
MONO = "ui-monospace, SF Mono, Cascadia Mono, Menlo, Consolas, Liberation Mono, monospace"

COLOURS = {name: f"var(--{name})" for name in LIGHT}
"""What figures and rules call a colour: the page's script puts in what the reader's theme has."""

# Shares of one loss are tints of the accent, dark to light; the terms beyond reuse the last.
TINTS = tuple(COLOURS[name] for name in ("accent", "tint-1", "tint-2", "tint-3", "tint-4", "line"))
# Lines must be told from the paper, so the faint tints are not among them.
LINES = tuple(COLOURS[name] for name in ("accent", "ink", "tint-1", "tint-3", "control"))

CONFIG = {"displayModeBar": False, "showTips": False}


def rgba(colour: str, opacity: float) -> str:
    """Return a colour of the theme with an opacity, as the page's script reads it.

    >>> rgba("var(--accent)", 0.15)
    'var(--accent, 0.15)'
    """
    return f"{colour.removesuffix(')')}, {opacity:.4g})"


def mixed(colour: str, depth: float) -> str:
    """Return a colour of the theme as far as it stands out from the paper: 1.0 is all of it.

    >>> mixed("var(--ink)", 1.0), mixed("var(--ink)", 0.5)
    ('var(--ink)', 'var(--ink, 0.5)')
    """
    return colour if depth >= 1.0 else rgba(colour, depth)


def template() -> Any:
    """Return the plotly template of all figures."""
    from plotly.graph_objects import layout

    axis = {
        "gridcolor": COLOURS["line"],
        "linecolor": COLOURS["line"],
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "automargin": True,
        "exponentformat": "power",
        "tickfont": {"size": 12, "color": COLOURS["muted"]},
        "title": {"font": {"size": 12, "color": COLOURS["muted"]}, "standoff": 12},
    }
    return layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": COLOURS["text"]},
            "paper_bgcolor": COLOURS["paper"],
            "plot_bgcolor": COLOURS["paper"],
            "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
            "hovermode": "x unified",
            # A finger on a figure scrolls the page, as everywhere else on it.
            "dragmode": False,
            "hoverlabel": {
                "bgcolor": COLOURS["paper"],
                "bordercolor": COLOURS["line"],
                "font": {"family": FONT, "size": 12, "color": COLOURS["ink"]},
            },
            "xaxis": {**axis, "showgrid": False, "showline": True},
            "yaxis": axis,
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "font": {"size": 12.5},
            },
        }
    )


def label(name: str) -> str:
    """Return a name as plotly must get it to show it as it is.

    >>> label("<b>kd</b>")
    '&lt;b&gt;kd&lt;/b&gt;'
    """
    return escape(name, quote=False)
