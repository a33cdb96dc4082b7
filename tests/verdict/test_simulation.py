"""The simulation in the docs is that of the result file, and that is what the test does."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "benchmarks/results/verdict.json").read_text())["results"]


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("verdict")


def test_the_tables_of_the_docs_are_those_of_the_result_file(simulation) -> None:
    page = (ROOT / "docs/statistics.md").read_text()
    assert simulation.tables(RESULT) in page
    assert page.count("\n| here |") == 3


def test_the_error_is_small_everywhere_and_the_power_is_there() -> None:
    ours = [row for row in RESULT if row["test"] == "here"]
    judged = [row for row in ours if row["seeds"] >= 3]
    assert len(judged) == 2 * 5 * 8
    harsh = ("e^1.6", "noisy")
    usual = [row for row in judged if not any(word in row["variances"] for word in harsh)]
    assert max(row["error"] for row in usual) <= 0.06
    assert max(row["error"] for row in judged) <= 0.09
    at_three = {(row["arms"], row["variances"]): row["power"] for row in ours if row["seeds"] == 3}
    for variances in ("equal", "spread e^0.5"):
        assert at_three[14, variances] >= 0.8
        assert at_three[60, variances] >= 0.6


def test_the_result_file_is_what_the_test_does_now(simulation) -> None:
    spread, correlation = simulation.SETTINGS["spread e^0.5"]
    drawn = simulation.differences(2000, 14, 3, spread, correlation, 100 * 14 + 3)
    wrong = simulation.rejected(simulation.ours(*drawn, 3))
    (kept,) = (
        row
        for row in RESULT
        if (row["seeds"], row["arms"], row["variances"], row["test"])
        == (3, 14, "spread e^0.5", "here")
    )
    assert wrong[:, 0].mean() == pytest.approx(kept["power"], abs=1e-3)
    assert wrong[:, 1:].any(-1).mean() == pytest.approx(kept["error"], abs=1e-3)
