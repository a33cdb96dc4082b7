"""Tables at 60, 80 and 120 columns: as they were looked at, and no number cut at any width."""

import re
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from study_of_twelve import study_of_twelve

from stillhouse.cli.runs import runs_table
from stillhouse.cli.search import candidate_table
from stillhouse.cli.study_table import study_score_table
from stillhouse.cli.table import score_table
from stillhouse.cli.terminal import Terminal
from stillhouse.records.checked import write_checked
from stillhouse.records.metric import ACCURACY, CLASSIFICATION, MINUS
from stillhouse.report.study_record import read_study
from stillhouse.studies.listing import Listed
from stillhouse.studies.trials import Candidate

SNAPSHOTS = Path(__file__).parent / "snapshots"
WIDTHS = (60, 80, 120)


def _model(role: str, name: str, values: tuple[float, ...], **more: Any) -> dict[str, Any]:
    def at(value: float) -> dict[str, float]:
        return {"last": value, "best": value + 0.002}

    runs = [
        {"validation": at(value + 0.01), "test": at(value), "seconds": 61.25, "reused": False,
         "heads": {}, **more}
        for value in values
    ]  # fmt: skip
    return {"role": role, "model": name, "parameters": 1_234_567, "bytes": 4_938_268, "runs": runs}


def run_table(_: Path) -> Table:
    models = [
        _model("teacher", "resnet56", (0.9861,), reused=True),
        _model("control", "convnet-8-16-32-128", (0.9348, 0.9401, 0.9299)),
        _model("student", "convnet-8-16-32-128", (0.9649, 0.9702, 0.9611)),
    ]
    return score_table({"task": CLASSIFICATION.plain(), "models": models})


def study_table(folder: Path) -> Table:
    write_checked(folder / "study.json", study_of_twelve())
    return study_score_table(read_study(folder))


def search_table(_: Path) -> Table:
    found = [
        Candidate(n, "resnet20w12-bottleneck", "trained", 51_780 * n, 0.61, 0.9) for n in (1, 2)
    ]
    return candidate_table(found, ACCURACY)


def ls_table(_: Path) -> Table:
    runs = [
        Listed(Path(f"runs/{name}"), "run", "finished",
               f"resnet56 -> resnet20 on cifar100 by {name}", word, ACCURACY, 0.6912, gain,
               gain - 0.006, gain + 0.006, 272_474, "2026-11-26T10:00")
        for name, word, gain in (
            ("first", "helps", 0.0123), ("second", "no difference shown", -0.0012),
            ("third", "hurts", -0.0111), ("fourth", "helps", 0.0089), ("fifth", "helps", 0.01),
        )
    ]  # fmt: skip
    study = Listed(Path("runs/all"), "study", "finished", "Every method on CIFAR-100",
                   "14 help, 3 hurt, 30 no difference shown", ACCURACY, 0.7012)  # fmt: skip
    return runs_table([*runs, study])


TABLES = {"ls": ls_table, "run": run_table, "study": study_table, "search": search_table}


def shown(table: Table, width: int) -> str:
    terminal = Terminal(width=width)
    with terminal.capture() as captured:
        terminal.table(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_as_it_was_looked_at(name: str, width: int, tmp_path: Path) -> None:
    said = shown(TABLES[name](tmp_path), width)
    kept = SNAPSHOTS / f"{name}-{width}.txt"
    assert said == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, *WIDTHS, 200])
@pytest.mark.parametrize("name", TABLES)
def test_every_number_is_whole_and_no_line_too_long(name: str, width: int, tmp_path: Path) -> None:
    table = TABLES[name](tmp_path)
    numbers = [
        number.replace(MINUS, "-")
        for column in table.columns[1:]
        for cell in column.cells
        for number in re.findall(rf"[{MINUS}+]?\d[\d.,]*", re.sub(r"\[.*?\]", "", str(cell)))
    ]
    said = shown(table, width)
    assert max(map(len, said.splitlines())) <= width
    for number in set(numbers):
        assert len(re.findall(rf"(?<![\d.]){re.escape(number)}", said)) >= numbers.count(number)


def test_a_log_has_no_edge_unless_columns_gives_one(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert "parameters" in shown_by_itself(tmp_path).splitlines()[0]
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, shown_by_itself(tmp_path).splitlines())) <= 60


def shown_by_itself(folder: Path) -> str:
    terminal = Terminal()
    with terminal.capture() as captured:
        terminal.table(run_table(folder))
    return captured.get()
