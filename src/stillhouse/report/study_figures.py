"""The arms of a study side by side, in a figure; None where there is nothing to draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from stillhouse.records.metric import Metric
from stillhouse.records.run import SeedScores
from stillhouse.report.short_names import short_names
from stillhouse.report.study_record import StudyRecord, tested
from stillhouse.report.study_rows import controls
from stillhouse.report.theme import COLOURS, label, rgba, template
from stillhouse.verdict.spread import Spread

ROW = 31  # pixels an arm; above MANY arms with short names the rows move closer
MANY = 24
WIDE = 26  # letters in a line of a name on an axis


@dataclass(frozen=True)
class _Line:
    name: str
    short: str
    runs: tuple[SeedScores, ...]
    found: Spread
    word: str

    @property
    def seeds(self) -> list[tuple[int, float]]:
        return [(run.seed, run.test.last) for run in self.runs if run.test.last is not None]

    @property
    def colour(self) -> str:
        return COLOURS["control" if self.word in ("control", "hurts") else "accent"]


def _lines(record: StudyRecord) -> list[_Line]:
    """Arms and, where there are several, controls; best first."""
    short = short_names(arm.name for arm in record.arms)
    lines = [
        _Line(arm.name, short[arm.name], arm.runs, found, arm.gain.word if arm.gain else "")
        for arm, found in record.scored
    ]
    several = len(controls(record)) > 1
    for one in controls(record):
        found = tested(one.runs)
        if found is not None:
            name = f"control, {one.about}"
            shown = name if several else "control"
            lines.append(_Line(name, shown, one.runs, found, "control"))
    return sorted(lines, key=lambda line: -record.merit(line.found))


def arms_figure(record: StudyRecord) -> Any | None:
    """Draw the test metric of every arm: seeds, mean, interval; the control dashed."""
    from plotly.graph_objects import Figure

    lines = _lines(record)
    if not lines:
        return None
    figure, metric = Figure(), record.metric
    _add_seeds(figure, lines, metric)
    for row, line in enumerate(lines):
        _add_mean(figure, row, line, metric)
    level = control_level(record)
    if level is not None:
        figure.add_vline(
            x=metric.scale * level, line={"color": COLOURS["ink"], "width": 1.25, "dash": "dash"}
        )
    names = [_on_axis(line.short) for line in lines]
    folded = any("<br>" in name for name in names)  # two lines need the room of a whole row
    height = ROW if folded or len(lines) <= MANY else ROW * 2 // 3
    figure.update_layout(
        template=template(),
        height=height * len(lines) + 64,
        showlegend=False,
        hovermode="closest",
    )
    figure.update_xaxes(
        range=_reach(lines, metric),
        title_text=label(f"test {metric.name}, last epoch"),
        ticksuffix=label(metric.suffix),
        showgrid=True,
    )
    figure.update_yaxes(
        tickvals=list(range(len(lines))),
        ticktext=names,
        range=(len(lines) - 0.4, -0.6),
        showgrid=False,
        fixedrange=True,
    )
    return figure


def _add_seeds(figure: Any, lines: Sequence[_Line], metric: Metric) -> None:
    from plotly.graph_objects import Scatter

    dots = [
        (metric.scale * value, row, f"{line.name}, seed {seed}: {metric.with_unit(value)}")
        for row, line in enumerate(lines)
        for seed, value in line.seeds
        if len(line.runs) > 1
    ]
    figure.add_trace(
        Scatter(
            x=[dot[0] for dot in dots],
            y=[dot[1] for dot in dots],
            text=[label(dot[2]) for dot in dots],
            mode="markers",
            marker={"size": 6, "color": rgba(COLOURS["control"], 0.55)},
            hovertemplate="%{text}<extra></extra>",
        )
    )


def _add_mean(figure: Any, row: int, line: _Line, metric: Metric) -> None:
    from plotly.graph_objects import Scatter

    open_dot = line.word not in ("helps", "hurts", "control")
    said = f"{line.name}: {metric.with_unit(line.found.mean)}"
    bars: dict[str, Any] = {}
    if line.found.half is not None:
        said += f" ± {metric.shown(line.found.half)}"
        bars["error_x"] = error_bars([line.found], line.colour, metric, thickness=2)
    figure.add_trace(
        Scatter(
            x=[metric.scale * line.found.mean],
            y=[row],
            text=[label(said)],
            mode="markers",
            marker={
                "size": 11,
                "symbol": "diamond",
                "color": COLOURS["paper"] if open_dot else line.colour,
                "line": {"color": line.colour, "width": 2},
            },
            hovertemplate="%{text}<extra></extra>",
            **bars,
        )
    )


def error_bars(
    found: Sequence[Spread | None], colour: str, metric: Metric, *, thickness: float
) -> dict[str, Any]:
    """The half-widths of some intervals as bars; none where there is no interval."""
    halves = [metric.scale * (each.half or 0.0) if each else 0.0 for each in found]
    return {"type": "data", "array": halves, "thickness": thickness, "width": 4, "color": colour}


def _reach(lines: Sequence[_Line], metric: Metric) -> tuple[float, float]:
    """Show all seeds, and intervals as far as they do not squeeze everything else."""
    scale = metric.scale
    values = [scale * value for line in lines for _, value in line.seeds]
    low, high = min(values), max(values)
    span = max(high - low, scale / 500)
    halves = [(scale * line.found.mean, scale * (line.found.half or 0.0)) for line in lines]
    low = max(min([low, *(mean - half for mean, half in halves)]), low - span)
    high = min(max([high, *(mean + half for mean, half in halves)]), high + span)
    return low - 0.04 * span, high + 0.04 * span


def control_level(record: StudyRecord) -> float | None:
    """The control's mean, where all arms share one control."""
    known = controls(record)
    found = tested(known[0].runs) if len(known) == 1 else None
    return found.mean if found else None


def _on_axis(name: str) -> str:
    """A name on two lines at most: what is cut off would be what tells two arms apart.

    >>> _on_axis("kd T 6, weight 3, label weight 0.1")
    'kd T 6, weight 3, label<br>weight 0.1'
    """
    return "<br>".join(map(label, wrap(name, WIDE, max_lines=2, placeholder="…")))
