"""The table and the verdict at the end of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from stillhouse.cli.terminal import Terminal
from stillhouse.deploy.predictor import STUDENT
from stillhouse.records.figures import TableFigures
from stillhouse.records.metric import Metric
from stillhouse.records.own_code import called
from stillhouse.records.probe import ProbeRecord
from stillhouse.records.run import REPORT
from stillhouse.report.probed import probe_rows
from stillhouse.report.table_figures import Cell, figure_rows
from stillhouse.report.wording import interval
from stillhouse.verdict.spread import spread

if TYPE_CHECKING:
    from stillhouse.runs.outcome import Outcome

STYLES = {"helps": "bold green", "hurts": "bold red"}


def over_seeds(values: Sequence[float | None], metric: Metric) -> str:
    """Mean of a metric without its unit, and the half-width of its 95 % interval over seeds.

    >>> from stillhouse.records.metric import ACCURACY
    >>> over_seeds([0.5], ACCURACY), over_seeds([0.5, 0.6, 0.7], ACCURACY)
    ('50.00', '60.00 ± 24.84')
    """
    found = spread(values)
    return "-" if found is None else interval(found, metric)


def _seconds(runs: Sequence[Mapping[str, Any]]) -> str:
    mean = sum(run["seconds"] for run in runs) / len(runs)
    if runs[0].get("given"):
        return "given"
    return f"{mean:.1f}" + (" (reused)" if all(run["reused"] for run in runs) else "")


def score_table(scores: Mapping[str, Any]) -> Table:
    """Teacher, control and student: the metric over seeds, size, seconds per run."""
    metric = Metric.model_validate(scores["task"]["metric"])
    unit = metric.unit and f" {metric.unit}"
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("model")
    for title in ("val last", "val best", "test last", "test best"):
        table.add_column(title + unit, no_wrap=True)
    for title in ("parameters", "MB", "s per run"):
        table.add_column(title, justify="right", no_wrap=True)
    for model in scores["models"]:
        runs = model["runs"]
        cells = [
            over_seeds([run[split][which] for run in runs], metric)
            for split in ("validation", "test")
            for which in ("last", "best")
        ]
        size = (f"{model['parameters']:,}", f"{model['bytes'] / 1e6:.2f}", _seconds(runs))
        table.add_row(model["role"], called(model["model"]), *cells, *size)
        for head in runs[0].get("heads", {}):
            cells = [
                over_seeds([run[split][head][which] for run in runs], metric)
                if split in runs[0]
                else ""
                for split in ("heads_validation", "heads")
                for which in ("last", "best")
            ]
            held = model.get("heads_bytes", {}).get(head)
            table.add_row("", f"  by {head}", *cells, "", held and f"{held / 1e6:.2f}", "")
    return table


def probe_table(probe: ProbeRecord) -> Table:
    """What embeddings are worth on a labelled set: accuracy by neighbours and linearly."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"probe {probe.data}", no_wrap=True)
    for title in (f"{probe.neighbours}-NN %", "linear %", "own classifier %"):
        table.add_column(title, no_wrap=True)
    for row in probe_rows(probe):
        table.add_row(row.name, row.neighbours, row.linear, row.own)
    return table


def print_figures(console: Terminal, found: TableFigures) -> None:
    """What the task measures of a table: a line per metric, with intervals for other people."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    roles = [network.role for network in found.networks]
    for title in ("", *roles, *(["student against control"] if found.gains else [])):
        table.add_column(title, no_wrap=not title)
    for row in figure_rows(found):
        cells = [*row.cells, *([row.gain] if row.gain is not None else [])]
        said = (f"{one.value} {_bracketed(one)}".rstrip() for one in cells)
        table.add_row(row.name, *said)
    console.print("")
    console.print(f"{found.title}: {found.about}", markup=False)
    console.table(table)
    notes = list(found.notes)
    if found.over:
        drawn = f"95 %, bootstrap over {found.count:,} {found.over}"
        notes.insert(0, f"In brackets: for other {found.over}, with these networks ({drawn}).")
    elif any(gain.seeds_low is not None for gain in found.gains.values()):
        notes.insert(0, "In brackets: for other seeds (95 %, t-interval).")
    if notes:
        console.print(" ".join(notes), markup=False)


def _bracketed(cell: Cell) -> str:
    """The first interval; of several, that for other seeds is in the report and scores.json."""
    return f"({cell.small[0].rpartition(': ')[2]})" if cell.small else ""


def print_outcome(console: Terminal, outcome: "Outcome") -> None:
    """Table, verdict, where the files are."""
    print_scores(console, outcome.scores, outcome.directory)


def print_scores(console: Terminal, scores: Mapping[str, Any], directory: Path) -> None:
    """The same of the content of scores.json."""
    probe = scores.get("probe")
    verdict = scores["verdict"]  # sentences are folded between words, paths are not
    console.print("")
    console.table(score_table(scores))
    for found in scores.get("figures", ()):
        print_figures(console, TableFigures.model_validate(found))
    console.print("")
    console.print(verdict["sentence"], style=STYLES.get(verdict["word"], "bold"), markup=False)
    if verdict.get("covers"):
        console.print(verdict["covers"], markup=False)
    if probe is not None:
        console.print("")
        console.table(probe_table(ProbeRecord.model_validate(probe)))
        console.print("")
    for caution in scores.get("cautions", ()):
        console.print(caution, style="yellow", markup=False)
    console.print(f"student: {directory / 'student.safetensors'}", markup=False, soft_wrap=True)
    if (directory / STUDENT).is_dir():
        said = f"{directory / STUDENT} (stillhouse predict, evaluate, export)"
        console.print(f"folder:  {said}", markup=False, soft_wrap=True)
    console.print(f"report:  {directory / REPORT}", markup=False, soft_wrap=True)
