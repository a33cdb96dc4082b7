"""Diagnostics over epochs: what all panels of them share, and those that no section knows by name.

Names reach plotly escaped: it reads a few HTML tags in its labels.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stillhouse.records.files import Reading
from stillhouse.records.metric import MINUS
from stillhouse.records.run import TrainedRun
from stillhouse.report.curves import Curve, curve
from stillhouse.report.figures import add_band, add_level, epoch_axis
from stillhouse.report.record import RunRecord
from stillhouse.report.theme import COLOURS, template
from stillhouse.verdict.spread import spread

HEIGHT = 230


@dataclass(frozen=True)
class Panel:
    """A figure with its words: ``name`` for the page, title, note, and what it shows (``alt``)."""

    name: str
    title: str
    note: str
    alt: str
    figure: Any


def scalar(reading: Reading) -> float | None:
    """Return a number as it is, of a list the mean of its numbers; None where there is none.

    >>> scalar([0.5, None, 1.0]), scalar(2.0), scalar([]), scalar(None)
    (0.75, 2.0, None, None)
    """
    if not isinstance(reading, list):
        return reading
    known = [value for value in reading if value is not None]
    return statistics.fmean(known) if known else None


def diagnostic_curve(record: RunRecord, diagnostic: str) -> Curve | None:
    """Return one of the student's diagnostics against epoch, over its seeds; of a list its mean."""
    return curve(record, "student", lambda epoch: scalar(epoch.diagnostics.get(diagnostic)))


def final_runs(record: RunRecord, role: str) -> tuple[TrainedRun, ...]:
    """Return the runs of a role that were looked at with the weights of their last epoch."""
    model = record.role(role)
    return tuple(run for run in model.runs if run.diagnostics) if model else ()


def control_level(record: RunRecord, diagnostic: str) -> float | None:
    """Return what a diagnostic showed of the trained control, mean over its seeds."""
    found = spread(scalar(run.diagnostics.get(diagnostic)) for run in final_runs(record, "control"))
    return found.mean if found else None


def diagnostic_figure(
    record: RunRecord, diagnostic: str, *, scale: float = 1.0, suffix: str = ""
) -> Any:
    """Draw a diagnostic of the student against epoch, with the trained control's as a dashed level.

    None where no epoch has it.
    """
    from plotly.graph_objects import Figure

    found = diagnostic_curve(record, diagnostic)
    if found is None:
        return None
    figure = Figure()
    add_band(figure, found, "student", COLOURS["accent"], scale=scale, suffix=suffix)
    ends = found.epochs[0], found.epochs[-1]
    level = control_level(record, diagnostic)
    if level is not None:
        told = {"name": "control, last epoch", "colour": COLOURS["control"], "suffix": suffix}
        add_level(figure, scale * level, ends, **told)
    figure.update_layout(template=template(), height=HEIGHT, showlegend=False)
    figure.update_xaxes(**epoch_axis(*ends))
    figure.update_yaxes(ticksuffix=suffix, nticks=6)
    return figure


def ended_at(record: RunRecord, diagnostic: str) -> str:
    """Say where student and control ended, such as ``0.91, control 0.84``."""
    found, level = diagnostic_curve(record, diagnostic), control_level(record, diagnostic)
    ends = [f"{found.mean[-1]:.2f}"] if found else []
    ends += [f"control {level:.2f}"] if level is not None else []
    return ", ".join(ends).replace("-", MINUS)


def other_panels(record: RunRecord, shown: Iterable[str]) -> tuple[Panel, ...]:
    """Return a panel for each diagnostic of the student that no other section shows."""
    known = set(shown)
    names = dict.fromkeys(
        name for epoch in record.epochs if epoch.stage == "student" for name in epoch.diagnostics
    )
    panels = []
    for position, name in enumerate(name for name in names if name not in known):
        figure = diagnostic_figure(record, name)
        if figure is not None:
            lists = any(isinstance(epoch.diagnostics.get(name), list) for epoch in record.epochs)
            note = "mean of the list" if lists else ""
            alt = f"{name} of the student against epoch"
            panels.append(Panel(f"diagnostic-{position}", name, note, alt, figure))
    return tuple(panels)
