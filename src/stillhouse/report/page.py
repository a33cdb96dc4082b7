"""A run directory -> report.html: one file that needs no network and no other file."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.faults import system_faults
from stillhouse.records.files import write_bytes
from stillhouse.records.run import REPORT
from stillhouse.report import wording
from stillhouse.report.agreement import agreement, examples
from stillhouse.report.by_class import by_class
from stillhouse.report.calibration import calibrated
from stillhouse.report.curves import last_epochs, student_terms, term_curve, term_weights
from stillhouse.report.diagnostics import Panel, final_runs, other_panels
from stillhouse.report.figures import early_epochs_hidden, validation_figure
from stillhouse.report.gains import gain_labels, gains_figure
from stillhouse.report.likeness import PANELS, few, heads_by_class, heads_figure, likeness_panels
from stillhouse.report.projector import DIAGNOSTICS, projector_panels, spectrum_figure
from stillhouse.report.record import RunRecord, read_run
from stillhouse.report.rows import costs_table, seed_rows, settled, table_rows
from stillhouse.report.terms import share_figure, share_parts, spans_decades, term_figure
from stillhouse.report.theme import COLOURS, CONFIG, FONT, MONO
from stillhouse.report.transfer_figures import transfer_figures
from stillhouse.report.transfer_gallery import gallery_rows
from stillhouse.report.worth import mean_test, worth

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

PAGE, SECTIONS = "page.html.jinja", "sections"
FILTERS: tuple[Callable[..., str], ...] = (
    wording.percent,
    wording.count,
    wording.size,
    wording.duration,
    wording.times,
    wording.moment,
)


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


def write_page(directory: Path, page: str) -> Path:
    """Write a page as the directory's ``report.html``; the old one stays until it is whole.

    Raises:
        SystemFault: the directory cannot be written to.
    """
    path = directory / REPORT
    with system_faults():
        # A lone surrogate is legal in JSON and not in UTF-8: it is shown as '?'.
        write_bytes(path, page.encode("utf-8", errors="replace"))
    return path


def render(record: RunRecord) -> str:
    """Return the whole page; every text of the record is escaped."""
    from markupsafe import Markup

    figures = _figures(record)
    template = page_environment().get_template(PAGE)
    return template.render(
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
        shares=[(term, colour) for term, (_, colour) in share_parts(record).items()],
        by_class=by_class(record),
        agreement=agreement(record),
        examples=examples(record),
        calibrated=calibrated(record),
        costs=costs_table(record.costs, record.metric) if record.costs else None,
        transfer=record.transfer,
        gallery=gallery_rows(record.transfer),
        likeness=likeness_panels(record),
        classes_told=few(heads_by_class(record, "student")),
        beside_control=bool(final_runs(record, "control")),
        projector=projector_panels(record),
        others=_others(record),
        figures=embedded(figures),
        early_hidden="validation" in figures and early_epochs_hidden(figures["validation"]),
        style=page_style(*(["transfer.css"] if record.transfer else [])),
        script=Markup(own_text("page.js")),  # noqa: S704  (our own text)
    )


@cache  # it keeps the sections compiled
def page_environment() -> "Environment":
    """Jinja with every text escaped, the filters that say numbers, and the sections."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FunctionLoader(_template_text),
    )
    environment.filters.update({say.__name__: say for say in FILTERS})
    environment.globals |= {"compared": wording.compared, "flat": wording.flat}
    return environment


def own_text(name: str) -> str:
    """A file of this folder."""
    return files("stillhouse.report").joinpath(name).read_text(encoding="utf-8")


def _template_text(name: str) -> str:
    return own_text(name if name == PAGE else f"{SECTIONS}/{name}")


def page_style(*more: str) -> "Markup":
    """Colours, fonts and rules of a page; ``more`` names further files of rules."""
    from markupsafe import Markup

    names = {**COLOURS, "font": FONT, "mono": MONO}
    root = "".join(f"  --{name}: {value};\n" for name, value in names.items())
    rules = "".join(own_text(name) for name in ("page.css", *more))
    return Markup(f":root {{\n{root}}}\n{rules}")  # noqa: S704  (our own text)


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
            "side": round(52 * (weights[model.role] / largest) ** 0.5) if largest else 0,
        }
        for model in known
    }


def _terms(record: RunRecord) -> Mapping[str, dict[str, Any]]:
    found = {term: term_curve(record, term) for term in student_terms(record)}
    return {
        term: {"weights": term_weights(record, term), "decades": spans_decades(known)}
        for term, known in found.items()
        if known is not None
    }


def _figures(record: RunRecord) -> Mapping[str, Any]:
    """Draw what the run gives rise to, in the order in which the page shows it."""
    drawn = {"gains": gains_figure(record), "validation": validation_figure(record)}
    for position, term in enumerate(_terms(record)):
        drawn[f"term-{position}"] = term_figure(record, term)
    drawn["share"] = share_figure(record)
    drawn |= transfer_figures(record.transfer)
    drawn |= {panel.name: panel.figure for panel in likeness_panels(record)}
    drawn |= {"heads": heads_figure(record), "spectrum": spectrum_figure(record)}
    panels = (*projector_panels(record), *_others(record))
    drawn |= {panel.name: panel.figure for panel in panels}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _others(record: RunRecord) -> tuple[Panel, ...]:
    return other_panels(record, shown=[*DIAGNOSTICS, *(diagnostic for diagnostic, _ in PANELS)])


def embedded(figures: Mapping[str, Any]) -> Mapping[str, "Markup"]:
    """Return figures as HTML; the first carries plotly.js, so that the page holds it once."""
    from markupsafe import Markup

    return {
        # plotly writes <, > and / of the data as \\u escapes, and our labels are escaped.
        name: Markup(  # noqa: S704
            figure.to_html(
                full_html=False,
                include_plotlyjs=position == 0,
                div_id=f"figure-{name}",
                config=CONFIG,
            )
        )
        for position, (name, figure) in enumerate(figures.items())
    }
