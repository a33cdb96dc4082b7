"""The figure behind the verdict: the gain of each seed, their mean and its interval."""

from typing import Any

from stillhouse.records.metric import MINUS, Metric
from stillhouse.records.verdict import Verdict
from stillhouse.report.record import RunRecord
from stillhouse.report.theme import COLOURS, FONT, label, template

ROW = 30  # pixels a seed; above MANY seeds the rows move closer
MANY = 12


def gain_labels(record: RunRecord) -> tuple[str, ...]:
    """Name the paired gains by their seeds, or by position if the seeds are not told.

    Gains are paired over the seeds that both student and control have, in the student's order.
    """
    verdict = record.verdict
    if verdict is None:
        return ()
    student, control = record.role("student"), record.role("control")
    theirs = {run.seed for run in control.runs} if control else set()
    seeds = [run.seed for run in student.runs if run.seed in theirs] if student else []
    if len(seeds) == len(verdict.gains) and None not in seeds:
        return tuple(f"seed {seed}" for seed in seeds)
    return tuple(f"pair {position}" for position in range(1, len(verdict.gains) + 1))


def gains_figure(record: RunRecord) -> Any | None:
    """Draw one dot per seed, the mean with its interval, and zero; right is better."""
    from plotly.graph_objects import Figure, Scatter

    verdict = record.verdict
    if verdict is None:
        return None
    found, metric = list(zip(gain_labels(record), verdict.gains, strict=True)), record.metric
    if not found:
        return None
    rows = len(found)
    figure = Figure(
        Scatter(
            x=[metric.scale * gain for _, gain in found],
            y=list(range(rows)),
            text=[label(f"{name}: {metric.change(gain)}") for name, gain in found],
            mode="markers",
            marker={"size": 9, "color": COLOURS["control"]},
            hovertemplate="%{text}<extra></extra>",
        )
    )
    names = [name for name, _ in found]
    if verdict.gain is not None and rows > 1:
        names.append("mean")
        _add_mean(figure, verdict, rows, metric)
    _lay_out(figure, names, _reach(found, verdict, metric), metric)
    return figure


def _add_mean(figure: Any, verdict: Verdict, row: int, metric: Metric) -> None:
    from plotly.graph_objects import Scatter

    gain, said = verdict.gain or 0.0, f"mean: {metric.change(verdict.gain)}"
    bars = {}
    if verdict.low is not None and verdict.high is not None:
        said += f" ({metric.span(verdict.low, verdict.high)})"
        bars = {
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [metric.scale * (verdict.high - gain)],
                "arrayminus": [metric.scale * (gain - verdict.low)],
                "thickness": 2.5,
                "width": 6,
                "color": COLOURS["accent"],
            }
        }
    figure.add_trace(
        Scatter(
            x=[metric.scale * gain],
            y=[row],
            text=[label(said)],
            mode="markers",
            marker={"size": 13, "symbol": "diamond", "color": COLOURS["accent"]},
            hovertemplate="%{text}<extra></extra>",
            **bars,
        )
    )


def _reach(found: list[tuple[str, float]], verdict: Verdict, metric: Metric) -> tuple[float, float]:
    shown = [0.0, *(gain for _, gain in found), verdict.low or 0.0, verdict.high or 0.0]
    low, high = metric.scale * min(shown), metric.scale * max(shown)
    # Room on both sides of zero, so that it is seen which side the gains lie on.
    margin = max(0.12 * (high - low), metric.scale / 2000)
    least = 0.22 * max(high - low, metric.scale / 400)
    return min(low - margin, -least), max(high + margin, least)


def _lay_out(figure: Any, names: list[str], reach: tuple[float, float], metric: Metric) -> None:
    height = ROW if len(names) <= MANY else ROW // 2
    sides = ("student", "control") if metric.higher_is_better else ("control", "student")
    of = label(f"{metric.difference_unit} of {metric.name}".removeprefix(" of "))
    figure.update_layout(
        template=template(),
        height=height * len(names) + 84,
        margin={"t": 26, "l": 8, "r": 8, "b": 8},
        showlegend=False,
        hovermode="closest",
    )
    figure.update_xaxes(
        range=reach,
        title_text=f"{of}, {f' {MINUS} '.join(sides)}",
        tickformat="~g",
        showgrid=True,
    )
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=names,
        range=(len(names) - 0.4, -0.6),
        showgrid=False,
        fixedrange=True,
    )
    figure.add_vline(x=0, line={"color": COLOURS["ink"], "width": 1.25})
    for text, side, end in (
        ("\u2190 control better", "left", 0),
        ("student better \u2192", "right", 1),
    ):
        figure.add_annotation(
            x=end,
            xref="paper",
            xanchor=side,
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=4,
            text=text,
            showarrow=False,
            font={"family": FONT, "size": 11.5, "color": COLOURS["muted"]},
        )
