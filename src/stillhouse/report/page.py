"""A run directory -> report.html: one file that needs no network and no other file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.report.agreement import agreement, examples
from stillhouse.report.answer_figures import classes_figure, reliability_figure
from stillhouse.report.box_pictures import box_pictures
from stillhouse.report.by_class import by_class
from stillhouse.report.calibration import calibrated
from stillhouse.report.curves import last_epochs, student_terms, term_curve, term_weights
from stillhouse.report.diagnostics import Panel, final_runs, other_panels
from stillhouse.report.figures import early_epochs_hidden, validation_figure
from stillhouse.report.frame import render_page, write_page
from stillhouse.report.gains import gain_labels, gains_figure
from stillhouse.report.likeness import PANELS, few, heads_by_class, heads_figure, likeness_panels
from stillhouse.report.probed import probe_rows
from stillhouse.report.projector import DIAGNOSTICS, projector_panels, spectrum_figure
from stillhouse.report.record import RunRecord, read_run
from stillhouse.report.rows import costs_table, seed_rows, settled, table_rows
from stillhouse.report.table_figures import figures_sections, without_classes
from stillhouse.report.terms import share_figure, share_parts, spans_decades, term_figure
from stillhouse.report.theme import TINTS
from stillhouse.report.transfer_figures import transfer_figures
from stillhouse.report.transfer_gallery import gallery_rows
from stillhouse.report.transfer_similarity import similarity
from stillhouse.report.worth import mean_test, worth


def write_report(directory: Path) -> Path:
    """Read a run directory and write its ``report.html`` in one move.

    Args:
        directory: a run directory, finished or not.

    Returns:
        the path of the report. A reader never sees half a file: the page is written beside it
        and then takes its place.

    Raises:
        RunError: ``directory`` is no run directory, or is damaged.
        SystemFault: it cannot be written to.
    """
    return write_page(directory, render(read_run(directory)))


def render(record: RunRecord) -> str:
    """Return the whole page; every text of the record is escaped."""
    figures = _figures(record)
    return render_page(
        "page.html.jinja",
        figures,
        rules=[
            *(["transfer.css"] if record.transfer else []),
            *(["boxes.css"] if record.boxes else []),
        ],
        run=record,
        scores=record.scores,
        metric=record.metric,
        validation=record.validation,
        title=((record.scores and record.scores.title) or record.name).replace(" -> ", " \u2192 "),
        worth=worth(record),
        rows=table_rows(record),
        seeds=seed_rows(record),
        flow=_flow(record),
        several=len({epoch.seed for epoch in record.epochs}) > 1,
        progress=last_epochs(record),
        gain_labels=gain_labels(record),
        terms=_terms(record),
        settled=settled(record),
        shares=[(term, TINTS.index(colour)) for term, (_, colour) in share_parts(record).items()],
        measured=figures_sections(record),
        without_classes=without_classes(record),
        by_class=by_class(record),
        agreement=agreement(record),
        examples=examples(record),
        boxes=box_pictures(record.boxes),
        calibrated=calibrated(record),
        costs=costs_table(record.costs, record.metric) if record.costs else None,
        probe=probe_rows(record.scores.probe if record.scores else None),
        transfer=record.transfer,
        gallery=gallery_rows(record.transfer),
        similarity=similarity(record.transfer),
        likeness=likeness_panels(record),
        classes_told=few(heads_by_class(record, "student")),
        beside_control=bool(final_runs(record, "control")),
        projector=projector_panels(record),
        others=_others(record),
        early_hidden="validation" in figures and early_epochs_hidden(figures["validation"]),
    )


def _flow(record: RunRecord) -> Mapping[str, dict[str, Any]]:
    """Describe teacher, student and control; ``side`` draws their sizes as squares in pixels."""
    models = [record.role(role) for role in ("teacher", "student", "control")]
    known = [model for model in models if model is not None]
    weights = {model.role: model.bytes or model.parameters for model in known}
    largest = max(weights.values(), default=0)
    return {
        model.role: {
            "model": model,
            "test": mean_test(model),
            "side": max(4, round(52 * (weights[model.role] / largest) ** 0.5)) if largest else 0,
        }
        for model in known
    }


def _terms(record: RunRecord) -> Mapping[str, dict[str, Any]]:
    found = {term: term_curve(record, term) for term in student_terms(record)}
    return {
        term: {
            "weights": term_weights(record, term),
            "decades": spans_decades(known),
            "part": any(term in epoch.parts for epoch in record.epochs),
        }
        for term, known in found.items()
        if known is not None
    }


def _figures(record: RunRecord) -> Mapping[str, Any]:
    """Draw what the run gives rise to, in the order in which the page shows it."""
    drawn = {"gains": gains_figure(record), "validation": validation_figure(record)}
    for position, term in enumerate(_terms(record)):
        drawn[f"term-{position}"] = term_figure(record, term)
    drawn["share"] = share_figure(record)
    drawn |= {each.name: each.figure for one in figures_sections(record) for each in one.plots}
    drawn |= transfer_figures(record.transfer)
    drawn["classes"] = classes_figure(by_class(record), record.metric)
    drawn["reliability"] = reliability_figure(calibrated(record))
    drawn |= {panel.name: panel.figure for panel in likeness_panels(record)}
    drawn |= {"heads": heads_figure(record), "spectrum": spectrum_figure(record)}
    panels = (*projector_panels(record), *_others(record))
    drawn |= {panel.name: panel.figure for panel in panels}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _others(record: RunRecord) -> tuple[Panel, ...]:
    return other_panels(record, shown=[*DIAGNOSTICS, *(diagnostic for diagnostic, _ in PANELS)])
