"""The table of a study, best arm first, with its controls in their place."""

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from stillhouse.cli.table import STYLES
from stillhouse.cli.terminal import Terminal
from stillhouse.report.study_record import StudyRecord, read_study
from stillhouse.report.study_rows import GainWords, StudyRow, diagnostic_names, study_rows

AGAINST = {"helps": "better", "hurts": "worse"}


def study_score_table(record: StudyRecord) -> Table:
    """Arms and controls by the mean of their test metric; gains in its unit."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("arm", overflow="fold")
    table.add_column(f"test last {record.metric.unit}".strip(), no_wrap=True)
    beside = f"{record.metric.beside} its control"
    for title in (beside, "corrected") if record.controlled else ():
        table.add_column(title)
    if record.against:
        table.add_column(f"{record.metric.beside} {escape(record.against)}")
        table.add_column(f"{escape(record.against)}, corrected")
    for name in diagnostic_names(record):
        table.add_column(name.replace("_", " "), justify="right")
    if record.transferred:
        table.add_column("set made in", justify="right", no_wrap=True)
    table.add_column("s per run", justify="right", no_wrap=True)
    for row in study_rows(record):
        table.add_row(*_cells(row, record), style="dim" if row.kind == "control" else None)
    return table


def _cells(row: StudyRow, record: StudyRecord) -> list[str]:
    if row.kind == "failed":
        return [escape(row.name), f"[red]{escape(row.note.split(':')[0])}[/]"]
    name = {"control": f"control ({row.note})", "head": f"  by {row.name}"}.get(row.kind, row.name)
    cells = [escape(name), row.test]
    if record.controlled:
        cells += [_gain(row.gain), _word(row.gain, {})]
    if record.against:
        cells += [_gain(row.against), _word(row.against, AGAINST)]
    made = [row.made] if record.transferred else []
    return [*cells, *row.diagnostics, *made, row.seconds]


def _gain(said: GainWords) -> str:
    return f"{said.mean} ({said.range})" if said.range else said.mean


def _word(said: GainWords, words: dict[str, str]) -> str:
    style, word = STYLES.get(said.word), words.get(said.word, said.word)
    return f"[{style}]{word}[/]" if style else word


def _claims(record: StudyRecord) -> str:
    """That claims, and what is none of them, are corrected each by themselves."""
    return f"; claims ({', '.join(record.claims)}) by themselves" if record.claims else ""


def print_study(console: Terminal, directory: Path) -> None:
    """Table, what the words mean, where the files are."""
    record = read_study(directory)
    console.print("")
    console.print(record.title, style="bold", markup=False)
    console.table(study_score_table(record))
    console.print("")
    families = {
        "with controls": sum(1 for a in record.arms if a.gain and a.gain.p_holm is not None),
        f"with {record.against}": sum(
            1 for a in record.arms if a.over_against and a.over_against.p_holm is not None
        ),
    }
    metric = record.metric
    in_points = f" in {metric.difference_unit}" if metric.difference_unit else ""
    measured = f"Mean {metric.name} over seeds" + (f" in {metric.unit}" if metric.unit else "")
    compared = " and ".join(f"{count} {what}" for what, count in families.items() if count)
    if compared:
        console.print(
            f"{measured}, gains{in_points} with the 95 % interval of one comparison alone. "
            "Helps, hurts, better, worse: beyond chance after correcting for all "
            f"comparisons of a kind, {compared}{_claims(record)} (moderated paired t-test, Holm, "
            "5 %).",
            markup=False,
        )
    else:
        console.print(
            f"{measured}; with fewer than three seeds, or nothing to compare with, "
            "nothing is judged."
        )
    learning = [arm.name for arm in record.arms if arm.cautions]
    if learning:
        console.print(
            f"Still rising or under-fit in {len(learning)} of {len(record.arms)} arms (student or "
            "control; a difference may be one of speed, not of level; the report says which).",
            style="yellow",
            markup=False,
        )
    if not record.finished:
        console.print("Not finished: arms are waiting.", style="bold")
    console.print(f"report: {directory / 'report.html'}", markup=False, soft_wrap=True)
