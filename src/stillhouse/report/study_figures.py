"""The figures of a study: all arms side by side, and accuracy over what was varied.

Figures are pure functions of a record; None where the study has nothing to draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from stillhouse.diagnostics.spread import Spread
from stillhouse.report.record import TrainedRun
from stillhouse.report.study_record import StudyRecord, tested
from stillhouse.report.study_rows import controls
from stillhouse.report.theme import COLOURS, rgba, template

ROW = 28  # pixels an arm; above MANY arms the rows move closer
MANY = 24
LONGEST = 44  # letters of a name on an axis


@dataclass(frozen=True)
class _Line:
    name: str
    runs: tuple[TrainedRun, ...]
    found: Spread
    word: str

    @property
    def seeds(self) -> list[tuple[int | None, float]]:
        return [(run.seed, run.test.last) for run in self.runs if run.test.last is not None]

    @property
    def colour(self) -> str:
        return COLOURS["control" if self.word in ("control", "hurts") else "accent"]


def _lines(record: StudyRecord) -> list[_Line]:
    """Arms and, where there are several, controls; best first."""
    lines = [
        _Line(arm.name, arm.runs, arm.test, arm.gain.word if arm.gain else "")
        for arm in record.ranked
        if arm.test is not None
    ]
    for one in controls(record):
        found = tested(one.runs)
        if found is not None:
            lines.append(_Line(f"control, {one.about}", one.runs, found, "control"))
    return sorted(lines, key=lambda line: -line.found.mean)


def arms_figure(record: StudyRecord) -> Any | None:
    """Draw test accuracy (percent) of every arm: seeds, mean, interval; the control dashed."""
    from plotly.graph_objects import Figure

    lines = _lines(record)
    if not lines:
        return None
    figure = Figure()
    _add_seeds(figure, lines)
    for row, line in enumerate(lines):
        _add_mean(figure, row, line)
    level = control_level(record)
    if level is not None:
        figure.add_vline(
            x=100 * level, line={"color": COLOURS["ink"], "width": 1.25, "dash": "dash"}
        )
    height = ROW if len(lines) <= MANY else ROW * 2 // 3
    figure.update_layout(
        template=template(),
        height=height * len(lines) + 64,
        showlegend=False,
        hovermode="closest",
    )
    figure.update_xaxes(
        range=_reach(lines), title_text="test accuracy, last epoch", ticksuffix="%", showgrid=True
    )
    figure.update_yaxes(
        tickvals=list(range(len(lines))),
        ticktext=[_short(line.name) for line in lines],
        range=(len(lines) - 0.4, -0.6),
        showgrid=False,
        fixedrange=True,
    )
    return figure


def _add_seeds(figure: Any, lines: Sequence[_Line]) -> None:
    from plotly.graph_objects import Scatter

    dots = [
        (100 * value, row, f"{escape(line.name)}, seed {seed}: {100 * value:.2f}%")
        for row, line in enumerate(lines)
        for seed, value in line.seeds
        if len(line.runs) > 1
    ]
    figure.add_trace(
        Scatter(
            x=[dot[0] for dot in dots],
            y=[dot[1] for dot in dots],
            text=[dot[2] for dot in dots],
            mode="markers",
            marker={"size": 6, "color": rgba(COLOURS["control"], 0.55)},
            hovertemplate="%{text}<extra></extra>",
        )
    )


def _add_mean(figure: Any, row: int, line: _Line) -> None:
    from plotly.graph_objects import Scatter

    open_dot = line.word not in ("helps", "hurts", "control")
    said = f"{escape(line.name)}: {100 * line.found.mean:.2f}%"
    bars: dict[str, Any] = {}
    if line.found.half is not None:
        said += f" ± {100 * line.found.half:.2f}"
        bars["error_x"] = _bar([line.found.half], line.colour)
    figure.add_trace(
        Scatter(
            x=[100 * line.found.mean],
            y=[row],
            text=[said],
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


def _bar(halves: Sequence[float | None], colour: str) -> dict[str, Any]:
    """Error bars of half-widths given as fractions."""
    lengths = [100 * (half or 0.0) for half in halves]
    return {"type": "data", "array": lengths, "thickness": 2, "width": 4, "color": colour}


def _reach(lines: Sequence[_Line]) -> tuple[float, float]:
    """Show all seeds, and intervals as far as they do not squeeze everything else."""
    values = [100 * value for line in lines for _, value in line.seeds]
    low, high = min(values), max(values)
    span = max(high - low, 0.2)
    halves = [(100 * line.found.mean, 100 * (line.found.half or 0.0)) for line in lines]
    low = max(min([low, *(mean - half for mean, half in halves)]), low - span)
    high = min(max([high, *(mean + half for mean, half in halves)]), high + span)
    return low - 0.04 * span, high + 0.04 * span


def control_level(record: StudyRecord) -> float | None:
    """The control's mean accuracy, where all arms share one control."""
    known = controls(record)
    found = tested(known[0].runs) if len(known) == 1 else None
    return found.mean if found else None


def _short(name: str) -> str:
    cut = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return escape(cut)
