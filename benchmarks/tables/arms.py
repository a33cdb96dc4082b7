"""Tables of arms: each with its gains and words, its heads below it, its control among them."""

import json
from collections.abc import Mapping, Sequence

from marks import Results, table
from result_files import ROOT
from stillhouse.records.metric import ACCURACY
from stillhouse.report.study_record import StudyRecord
from stillhouse.report.study_rows import GainWords, StudyRow, diagnostic_names, study_rows
from tables.recorded import not_recorded, recorded
from tables.restored import restored

AGAINST = {"helps": "better", "hurts": "worse"}
"""The words against another arm."""


def arms(results: Results, columns: Sequence[str]) -> str:
    """The arms of a study, best first.

    Args:
        results: one, of a study.
        columns: beside accuracy and gains: names of diagnostics; ``made`` (seconds that a transfer
            set took), ``seconds`` (of a training), ``published`` (gain in published.json).
    """
    (found,) = results.values()
    record = restored(found, columns)
    told = recorded(found)
    return f"{arms_table(record, columns, told)}\n\n{not_recorded(found)}"


def arms_table(
    record: StudyRecord, columns: Sequence[str] = (), told: Mapping[str, Mapping[str, str]] = {}
) -> str:
    """The table alone; ``told`` is further columns, by title and then by the name of a row."""
    measured = "" if record.metric.name == ACCURACY.name else f" {record.metric.name}"
    unit = f", {record.metric.unit}" if record.metric.unit else ""
    titles = ["arm", f"test{measured}{unit}"]
    if record.controlled:
        titles += ["over its control", "corrected"]
    if record.against:
        titles += [f"over {record.against}", "corrected"]
    width = len(titles)
    titles += [TITLES.get(name, name.replace("_", " ")) for name in columns]
    titles += list(told)
    readings = diagnostic_names(record)
    rows = [
        [
            *_cells(row, record, width),
            *(_column(name, row, readings) for name in columns),
            *(each.get(_row_name(row), "") for each in told.values()),
        ]
        for row in study_rows(record)
    ]
    return table(titles, rows)


def _row_name(row: StudyRow) -> str:
    return {"arm": row.name, "control": row.note}.get(row.kind, "")


def _cells(row: StudyRow, record: StudyRecord, width: int) -> list[str]:
    name = {"head": f"&nbsp;&nbsp;by {row.name}", "control": f"*control ({row.note})*"}
    shown = name.get(row.kind, row.name)
    if row.kind == "failed":
        return [shown, row.note, *[""] * (width - 2)]
    cells = [shown, row.test]
    if record.controlled:
        cells += [gain_text(row.gain), word_text(row.gain)]
    if record.against:
        cells += [gain_text(row.against), word_text(row.against, AGAINST)]
    return cells


def gain_text(said: GainWords) -> str:
    """A gain with its interval."""
    return f"{said.mean} ({said.range})" if said.range else said.mean


def word_text(said: GainWords, words: Mapping[str, str] = {}) -> str:
    """Its word with its corrected p."""
    word = words.get(said.word, said.word)
    bold = f"**{word}**" if said.word in AGAINST else word
    return f"{bold}, {said.p}" if said.p else bold


TITLES = {"made": "set made in", "seconds": "time of a run"}


def _column(name: str, row: StudyRow, readings: Sequence[str]) -> str:
    if name == "made":
        return row.made
    if name == "seconds":
        return row.seconds
    if name == "published":
        return published().get(row.name, "") if row.kind == "arm" else ""
    return dict(zip(readings, row.diagnostics, strict=False)).get(name, "")


def published() -> Mapping[str, str]:
    """Gains that a benchmark printed, by the name of the method, in points."""
    kept = json.loads((ROOT / "benchmarks" / "published.json").read_text("utf-8"))
    return {name: f"+{value - kept['alone']:.2f}" for name, value in kept["taught"].items()}
