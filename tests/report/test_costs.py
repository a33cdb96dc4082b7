"""The table of costs of a student that was made out of its teacher."""

from pathlib import Path
from typing import Any

import pytest

from stillhouse.errors import RunError
from stillhouse.records.checked import write_checked
from stillhouse.records.costs import Costs
from stillhouse.records.metric import ACCURACY, NOTHING
from stillhouse.report import read_run, write_report
from stillhouse.report.rows import costs_table

COSTS: dict[str, Any] = {
    "schema": 1,
    "derive": {"derive": "low_rank", "ratio": 0.5},
    "model": "resnet20 low_rank 0.5",
    "changes": [
        {"path": "conv1", "before": 9, "after": 6, "how": "two layers"},
        {"path": "layer1.0.conv1", "before": 9, "after": 6, "how": "two layers"},
    ],
    "kept": [{"path": "fc", "why": "asked for"}, {"path": "x<i>", "why": "asked for"}],
    "conditions": {"device": "cpu", "threads": 1},
    "networks": [
        {"name": "teacher", "parameters": 272474, "macs": 40813184, "file_bytes": 1107200,
         "milliseconds": {"1": 3.0612, "64": 168.2}, "test": 0.98},
        {"name": "student before distillation", "parameters": 133793, "macs": 19865000,
         "file_bytes": 554600, "milliseconds": {"1": 3.38, "64": None}, "test": None},
    ],
}  # fmt: skip


def test_rows_of_the_table(tmp_path: Path) -> None:
    write_checked(tmp_path / "costs.json", COSTS)
    costs = costs_table(Costs.read(tmp_path / "costs.json"), ACCURACY)
    assert costs.batches == ("1", "64")
    assert costs.lines == (
        ("teacher", "98.00%", "272,474", "40.8 M", "1.11 MB", "3.06 ms", "168 ms"),
        ("student before distillation", NOTHING, "133,793", "19.9 M", "555 kB", "3.38 ms", NOTHING),
    )
    assert costs.kept == {"asked for": ("fc", "x<i>")}


def test_the_page_shows_them_escaped_and_only_where_there_are_some(made) -> None:
    folder = made.write()
    assert read_run(folder).costs is None
    assert "What it costs to use" not in write_report(folder).read_text()
    write_checked(folder / "costs.json", COSTS)
    page = write_report(folder).read_text()
    for part in ("What it costs to use", "40.8 M", "168 ms", "2 layers rebuilt", "threads 1"):
        assert part in page
    assert "x&lt;i&gt;" in page
    assert "x<i>" not in page


def test_what_is_damaged_is_said(made) -> None:
    write_checked(made.write() / "costs.json", {**COSTS, "networks": [None]})
    with pytest.raises(RunError, match=r"costs\.json is damaged: networks\.0: "):
        read_run(made.directory)
