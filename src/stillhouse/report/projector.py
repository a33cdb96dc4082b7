"""What the projector does: its singular values, and how far it keeps what goes into it."""

import math
import statistics
from typing import Any

from stillhouse.report.diagnostics import HEIGHT, Panel, diagnostic_figure, ended_at
from stillhouse.report.record import RunRecord
from stillhouse.report.theme import COLOURS, mixed, template

SIGMA, RANK = "projector_singular_values", "projector_effective_rank"
SMALL, CKA = "projector_share_small", "projector_in_out_cka"
CORRELATION = "projector_in_out_correlation"
DIAGNOSTICS = (SIGMA, RANK, SMALL, CKA, CORRELATION)
SHOWN_EPOCHS = 5
"""Spectra in one figure: the first, the last, and some between them."""
FLOOR = 1e-4
"""Of the largest: what is below is numerically closed, and would only stretch the axis."""


def projector_panels(record: RunRecord) -> tuple[Panel, ...]:
    """Return the panels over epochs: effective rank, share of small values, both ends."""
    count = len(next(iter(spectra(record).values()), ()))
    panels = [
        _panel(record, RANK, "Effective rank", f"of {count}" if count else ""),
        _panel(record, SMALL, "Singular values below a tenth", "of the largest", 100.0, "%"),
        _panel(record, CKA, "CKA of input and output", ended_at(record, CKA)),
        _panel(
            record, CORRELATION, "Correlation of input and output", ended_at(record, CORRELATION)
        ),
    ]
    return tuple(panel for panel in panels if panel is not None)


def _panel(
    record: RunRecord, diagnostic: str, title: str, note: str, scale: float = 1.0, suffix: str = ""
) -> Panel | None:
    figure = diagnostic_figure(record, diagnostic, scale=scale, suffix=suffix)
    if figure is None:
        return None
    alt = f"{title} of the projector against epoch"
    return Panel(f"projector-{diagnostic}", title, note, alt, figure)


def spectra(record: RunRecord) -> dict[int, tuple[float, ...]]:
    """Return the singular values over the largest at each epoch, mean over the seeds.

    Only of seeds whose values are all known and not all 0.
    """
    found: dict[int, list[tuple[float, ...]]] = {}
    for epoch in record.epochs:
        sigma = epoch.diagnostics.get(SIGMA)
        if epoch.stage != "student" or not isinstance(sigma, list):
            continue
        known = [value for value in sigma if value is not None]
        if known and len(known) == len(sigma) and max(known) > 0:
            relative = tuple(value / max(known) for value in known)
            found.setdefault(epoch.epoch, []).append(relative)
    return {
        epoch: tuple(statistics.fmean(values) for values in zip(*found[epoch], strict=False))
        for epoch in sorted(found)
    }


def shown_epochs(epochs: list[int]) -> list[int]:
    """Choose the epochs whose spectra are drawn, evenly and with both ends.

    >>> shown_epochs([1, 2, 3]), shown_epochs(list(range(1, 31)))
    ([1, 2, 3], [1, 8, 15, 23, 30])
    """
    if len(epochs) <= SHOWN_EPOCHS:
        return epochs
    steps = range(SHOWN_EPOCHS)
    return [epochs[round(step * (len(epochs) - 1) / (SHOWN_EPOCHS - 1))] for step in steps]


def spectrum_figure(record: RunRecord) -> Any | None:
    """Draw the singular values over the largest, largest first, at some epochs: light to dark."""
    from plotly.graph_objects import Figure, Scatter

    known = spectra(record)
    if not known:
        return None
    epochs = shown_epochs(list(known))
    figure = Figure()
    for position, epoch in enumerate(epochs):
        sigma = [max(value, FLOOR) for value in known[epoch]]
        depth = 0.3 + 0.7 * (position + 1) / len(epochs)
        figure.add_trace(
            Scatter(
                x=list(range(1, len(sigma) + 1)),
                y=sigma,
                name=f"epoch {epoch}",
                mode="lines" if len(sigma) > 1 else "markers",
                line={"color": mixed(COLOURS["accent"], depth), "width": 1.5 + depth},
                hovertemplate="%{y:.3g}",
            )
        )
    lowest = min(min(known[epoch]) for epoch in epochs)
    figure.update_layout(template=template(), height=HEIGHT + 90)
    figure.update_xaxes(title_text="singular value, largest first")
    bottom = math.floor(math.log10(max(lowest, FLOOR)))
    figure.update_yaxes(type="log", dtick=1, exponentformat="none", range=(bottom, 0.05))
    figure.add_hline(y=0.1, line={"color": COLOURS["muted"], "width": 1, "dash": "dot"})
    return figure
