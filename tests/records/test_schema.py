"""Records come back as they were written, and what does not fit is refused with file and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from stillhouse.errors import RunError
from stillhouse.records.checked import write_checked
from stillhouse.records.metric import ACCURACY, MINUS, Metric
from stillhouse.records.run import EpochScores, Serving, TrainedRun
from stillhouse.records.stage import Epoch, StageNotes, StageRecord

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
        ("", "cannot be read as JSON"),
        ("null", "holds a JSON NoneType"),
        ("\x00", "cannot be read as JSON"),
        ("[" * 5000, "cannot be read as JSON"),
        ('{"schema": 1, "notes": {}}', "has no checksum"),
        ('{"schema": 1, "notes": {}, "checksum": "0"}', "does not fit its checksum"),
    ],
)
def test_what_is_damaged_is_said(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "settled.json").write_text(text)
    with pytest.raises(RunError, match=rf"settled\.json is damaged: .*{said}.*; delete it"):
        StageNotes.read(tmp_path / "settled.json")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "notes: Field required"),
        ({"notes": {"a": 1}}, r"notes\.a: Input should be a valid string"),
        ({"notes": {}, "more": 1}, "more: Extra inputs"),
    ],
)
def test_what_was_written_by_another_hand_is_said(
    found: dict[str, Any], said: str, tmp_path: Path
) -> None:
    write_checked(tmp_path / "settled.json", {"schema": 1, **found})
    with pytest.raises(RunError, match=rf"settled\.json is damaged: {said}.*; delete it"):
        StageNotes.read(tmp_path / "settled.json")


STAGE: dict[str, Any] = {
    "schema": 1,
    "identity": "abc",
    "keeps": "student",
    "nodes": ["student"],
    "epochs": 2,
    "best_epoch": 1,
    "seconds": 0.5,
    "history": [{}, {}],
    "sha256": {"student.safetensors": "0", "student-best.safetensors": "1"},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"best_epoch": 999}, "best epoch 999 of 2"),
        ({"best_epoch": 0}, "best epoch 0 of 2"),
        ({"epochs": 3}, "and 2 lines"),
        ({"history": []}, "and 0 lines"),
        ({"sha256": {}}, r"no checksum of student\.safetensors"),
        ({"sha256": {"student.safetensors": "0"}}, r"no checksum of student-best\.safetensors"),
    ],
)
def test_a_stage_that_contradicts_itself_is_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "stage.json"
    write_checked(path, STAGE)
    assert StageRecord.read(path).best_epoch == 1
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    again = rf"; delete {tmp_path}, and the same command trains it again"
    with pytest.raises(RunError, match=rf"stage\.json is damaged: .* does not fit .*{again}"):
        StageRecord.read(path)  # edited
    write_checked(path, {**STAGE, **change})
    with pytest.raises(RunError, match=rf"stage\.json is damaged: .*{said}.*{again}"):
        StageRecord.read(path)  # edited, and signed


@pytest.mark.parametrize("schema", [0, 2, 99, "1", None, True, 1.0])
def test_another_schema_is_refused_with_both_numbers(schema: Any, tmp_path: Path) -> None:
    (tmp_path / "stage.json").write_text(json.dumps({"schema": schema}))
    shown = json.dumps(schema)
    said = rf"stage\.json is of schema {shown} and this version reads 1; .* or use the version"
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
