"""What a notebook shows of an outcome: table and verdict; every text of the files is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from stillhouse.report.record import RunRecord
from stillhouse.report.rows import table_rows
from stillhouse.report.study_finding import finding
from stillhouse.report.study_record import StudyRecord
from stillhouse.report.study_rows import GainWords, StudyRow, study_rows

MOST_ROWS = 40
"""Arms of a study that a notebook shows; the report has all of them."""


def run_html(record: RunRecord, report: str, warnings: Sequence[str]) -> str:
    """The table of a run, its verdict, what to know before believing it, where its report is.

    Args:
        record: of the run.
        report: its path.
        warnings: of the run.
    """
    unit = f" {record.metric.unit}".rstrip()
    head = ("", "model", f"validation{unit}", f"test{unit}", f"test, best epoch{unit}",
            "parameters", "size", "time")  # fmt: skip
    rows = [
        (row.role if not row.head else "", row.model if not row.head else f"by {row.model}",
         row.validation_last, row.test_last, row.test_best, row.parameters, row.size, row.seconds)
        for row in table_rows(record)
    ]  # fmt: skip
    said = [record.verdict.sentence] if record.verdict else ["Not finished."]
    cautions = list(record.scores.cautions) if record.scores else []
    return _page(
        record.scores.title if record.scores else record.name,
        _table(head, rows),
        said,
        [*(f"Warning: {each}" for each in warnings), *cautions],
        report,
    )


def study_html(record: StudyRecord, report: str) -> str:
    """The table of a study, best arm first, what it found, where its report is."""
    unit = f" {record.metric.unit}".rstrip()
    head = ["arm", f"test{unit}"]
    head += [f"{record.metric.beside} its control", "corrected"] if record.controlled else []
    against = f"{record.metric.beside} {record.against}"
    head += [against, "corrected"] if record.against else []
    rows = study_rows(record)
    shown = [_arm(row, record) for row in rows[:MOST_ROWS]]
    left = len(rows) - len(shown)
    notes = [f"{left} further rows are in the report."] if left else []
    return _page(record.title, _table([*head, "time"], shown), finding(record), notes, report)


def _arm(row: StudyRow, record: StudyRecord) -> list[str]:
    if row.kind == "failed":
        return [row.name, row.note]
    name = {"control": f"control ({row.note})", "head": f"by {row.name}"}.get(row.kind, row.name)
    cells = [name, row.test]
    cells += [_gain(row.gain), row.gain.word] if record.controlled else []
    words = {"helps": "better", "hurts": "worse"}
    against = words.get(row.against.word, row.against.word)
    cells += [_gain(row.against), against] if record.against else []
    return [*cells, row.seconds]


def _gain(said: GainWords) -> str:
    return f"{said.mean} ({said.range})" if said.range else said.mean


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th style="text-align: left">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align: left">{escape(cell)}</td>' for cell in row)
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _page(title: str, table: str, said: Sequence[str], notes: Sequence[str], report: str) -> str:
    paragraphs = [f"<p><b>{escape(text)}</b></p>" for text in said[:1]]
    paragraphs += [f"<p>{escape(text)}</p>" for text in said[1:]]
    paragraphs += [f'<p style="color: #8a5a00">{escape(text)}</p>' for text in notes]
    paragraphs += [f"<p>report: <code>{escape(report)}</code></p>"]
    return f"<div><p>{escape(title)}</p>{table}{''.join(paragraphs)}</div>".replace("-&gt;", "→")
