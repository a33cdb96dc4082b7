"""Records come back as they were written, and what does not fit is refused with file and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from stillhouse.errors import RunError
from stillhouse.records.metric import ACCURACY, MINUS, Metric
from stillhouse.records.run import Epoch, EpochScores, Serving, StageNotes, StageRecord, TrainedRun

SERVING = Serving(cached=True, why="it pays", views=8, bytes=1024, seconds=6.5, students=3)
PERPLEXITY = Metric(name="perplexity", unit="", scale=1.0, higher_is_better=False)
SECONDS = Metric(name="delay", unit="ms", scale=1000.0, higher_is_better=False)


def training(**more: Any) -> TrainedRun:
    return TrainedRun(
        seed=0,
        seconds=1.5,
        epochs=3,
        best_epoch=2,
        reused=False,
        validation=EpochScores(last=None, best=None),
        test=EpochScores(last=0.5, best=0.25),
        **more,
    )


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    SERVING.write(tmp_path / "teacher.json")
    assert Serving.read(tmp_path / "teacher.json") == SERVING
    assert json.loads((tmp_path / "teacher.json").read_text())["schema"] == Serving.SCHEMA


def test_what_says_nothing_is_not_written() -> None:
    assert set(training().plain()) == {
        "seed", "seconds", "epochs", "best_epoch", "reused", "validation", "test",
    }  # fmt: skip
    told = training(diagnostics={"rank": [1.0, None]}, notes={"pairs": "a - b"}, given=True)
    assert TrainedRun.checked(told.plain()) == told


def test_records_are_frozen_and_hold_no_nan() -> None:
    with pytest.raises(ValueError, match="frozen"):
        SERVING.views = 9
    with pytest.raises(ValueError, match="finite"):
        EpochScores(last=float("nan"), best=None)
    with pytest.raises(ValueError, match="Extra"):
        EpochScores(last=None, best=None, worst=None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds a JSON list"),
        ("{}", "says no schema"),
        ('{"schema": 1}', "notes: Field required"),
        ('{"schema": 1, "notes": {"a": 1}}', r"notes\.a: Input should be a valid string"),
        ('{"schema": 1, "notes": {}, "more": 1}', "more: Extra inputs"),
        ("\x00", "cannot be read as JSON"),
    ],
)
def test_what_is_damaged_is_said(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "settled.json").write_text(text)
    with pytest.raises(RunError, match=rf"settled\.json is damaged: .*{said}.*; delete it"):
        StageNotes.read(tmp_path / "settled.json")


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_another_schema_is_refused_with_both_numbers(schema: Any, tmp_path: Path) -> None:
    (tmp_path / "stage.json").write_text(json.dumps({"schema": schema}))
    said = rf"stage\.json is of schema {schema} and this version reads 1; .* or use the version"
    with pytest.raises(RunError, match=said):
        StageRecord.read(tmp_path / "stage.json")


@pytest.mark.parametrize("value", ["1", True, "", [], {}])
def test_a_number_is_a_number(value: Any) -> None:
    with pytest.raises(ValueError, match="seed"):
        TrainedRun.checked({**training().plain(), "seed": value})


def test_a_line_of_metrics_may_say_more_than_is_shown() -> None:
    line = {"event": "epoch", "epoch": 3, "lr": 0.1, "terms": {"kd": None}, "loss": None}
    assert Epoch.checked(line) == Epoch(epoch=3, terms={"kd": None})


@pytest.mark.parametrize(
    ("metric", "value", "shown", "difference"),
    [
        (ACCURACY, 0.95634, "95.63%", "+95.63 points"),
        (PERPLEXITY, 12.3456, "12.35", "+12.35"),
        (SECONDS, -0.0025, "-2.50 ms", f"{MINUS}2.50 ms"),
    ],
)
def test_a_metric_says_its_numbers(
    metric: Metric, value: float, shown: str, difference: str
) -> None:
    assert (metric.with_unit(value), metric.difference(value)) == (shown, difference)
    assert metric.difference(value, minus="-").replace("-", MINUS) == difference


def test_a_gain_is_positive_where_it_is_better() -> None:
    assert ACCURACY.gain(0.75, 0.5) == 0.25
    assert PERPLEXITY.gain(10.0, 12.0) == 2.0
    assert (ACCURACY.better, PERPLEXITY.better) == ("more accurate", "better")
