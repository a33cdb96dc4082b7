"""Colours, fonts and labels, shared by the page and its figures so that they agree.

One accent colour, and it always means the student. The control is grey, the teacher is ink.
"""

from html import escape
from typing import Any

FONT = (
    "-apple-system, BlinkMacSystemFont, Segoe UI, Roboto, Helvetica Neue, Noto Sans, "
    "Liberation Sans, Arial, sans-serif"
)
MONO = "ui-monospace, SF Mono, Cascadia Mono, Menlo, Consolas, Liberation Mono, monospace"

COLOURS = {
    "accent": "#0b6a75",
    "accent-soft": "#e3f0f1",
    "ink": "#1b2530",
    "text": "#36424e",
    "muted": "#66727f",
    "control": "#8a94a0",
    "line": "#dfe4e8",
    "surface": "#f6f8f9",
    "paper": "#ffffff",
}

# Shares of one loss are tints of the accent, dark to light; the terms beyond reuse the lightest.
TINTS = ("#0b6a75", "#5c9ea6", "#a9cfd3", "#66727f", "#a3adb6", "#dfe4e8")

CONFIG = {"displayModeBar": False, "responsive": True, "showTips": False}


def rgba(colour: str, opacity: float) -> str:
    """Return a hex colour with an opacity.

    >>> rgba("#0b6a75", 0.15)
    'rgba(11, 106, 117, 0.15)'
    """
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def mixed(colour: str, depth: float) -> str:
    """Return a hex colour mixed with the white of the paper: 1.0 is the colour itself.

    >>> mixed("#0b6a75", 1.0), mixed("#000000", 0.5)
    ('#0b6a75', '#808080')
    """
    parts = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(depth * part + (1 - depth) * 255):02x}" for part in parts)


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
