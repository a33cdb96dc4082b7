"""Real trackers: what they have on disk is read back and compared with metrics.jsonl.

TensorBoard is among the packages of these tests; MLflow, trackio and W&B are tried where they are.
"""

import json
import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stop_amid import StopAmid

from stillhouse.recipes import make_recipe
from stillhouse.records.files import Lines
from stillhouse.runs.run import prepare, run

pytestmark = pytest.mark.ecosystem

VALUES = {
    "data": {"source": "digits", "limit": 64},
    "teacher": {"model": "convnet-8", "epochs": 2},
    "student": "convnet-4",
    "epochs": 4,
    "seeds": 2,
    "batch": 32,
    "precision": "fp32",
    "cache": "never",
    "compile": False,
    "checkpoint_seconds": 0.0,
}
Points = dict[str, dict[str, list[tuple[int, float]]]]
"""By curve and name: epochs and values, in the order in which they were written."""


def stopped_and_resumed(out: Path, track: str) -> Path:
    """A run that was stopped amid the first student, and went on."""
    asked = make_recipe({**VALUES, "track": {"to": track, "project": "tried"}})
    with pytest.raises(KeyboardInterrupt):
        run(prepare(asked, out, watcher=StopAmid(2)))
    return run(prepare(asked, out)).directory


def expected(out: Path) -> Points:
    found: Points = {}
    for line in Lines(out / "metrics.jsonl").read():
        curve = found.setdefault(f"{line['stage']}/seed-{line['seed']}", {})
        named = {"loss": line["loss"], "lr": line["lr"]}
        named["validation/accuracy"] = line["validation"]["student"]["accuracy"]
        for name, value in named.items():
            curve.setdefault(name, []).append((line["epoch"], value))
    return found


def agree(found: Points, out: Path) -> None:
    wanted = expected(out)
    assert set(wanted) <= set(found)
    for curve, names in wanted.items():
        for name, points in names.items():
            steps = [step for step, _ in found[curve][name]]
            assert sorted(steps) == [step for step, _ in points], (curve, name)
            assert dict(found[curve][name]) == pytest.approx(dict(points), rel=1e-6)


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = stopped_and_resumed(tmp_path / "run", "tensorboard")
    found: Points = {}
    folders = {path.parent for path in (out / "tensorboard").rglob("events*")}
    for folder in folders:
        events = EventAccumulator(str(folder))
        events.Reload()
        found[folder.relative_to(out / "tensorboard").as_posix()] = {
            name: [(event.step, event.value) for event in events.Scalars(name)]
            for name in events.Tags()["scalars"]
        }
    agree(found, out)
    assert len(list((out / "tensorboard/student/seed-0").glob("events*"))) == 2
    assert found["summary"]["test/student"][0][0] == 0
    told = EventAccumulator(str(out / "tensorboard/summary"))
    told.Reload()
    (verdict,) = told.Tensors("verdict/text_summary")
    assert b"paired seeds" in verdict.tensor_proto.string_val[0]


@pytest.mark.filterwarnings("default")
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)  # artefacts lie beside the database
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/kept.db")
    out = stopped_and_resumed(tmp_path / "run", "mlflow")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("tried")
    runs = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    assert len(runs) == 6  # a teacher, two controls, two students, the summary
    history = client.get_metric_history
    found = {
        name.removeprefix("run/"): {
            key: [(point.step, point.value) for point in history(each.info.run_id, key)]
            for key in each.data.metrics
        }
        for name, each in runs.items()
    }
    agree(found, out)
    summary = runs["run/summary"].info.run_id
    assert {each.path for each in client.list_artifacts(summary)} == {"report.html", "summary.md"}
    assert runs["run/student/seed-0"].data.params["method.name"] == "kd"
    assert mlflow.active_run() is None


@pytest.mark.filterwarnings("default")
def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "trackio" not in sys.modules  # it reads its place when it is imported
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    out = stopped_and_resumed(tmp_path / "run", "trackio")
    found: Points = {}
    with closing(sqlite3.connect(tmp_path / "trackio" / "tried.db")) as database:
        for name, step, text in database.execute("select run_name, step, metrics from metrics"):
            curve = found.setdefault(name.removeprefix("run/"), {})
            for key, value in json.loads(text).items():
                curve.setdefault(key, []).append((step, value))
    agree(found, out)
    assert {"table", "verdict", "gain"} <= set(found["summary"])


@pytest.mark.filterwarnings("default")
def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    out = stopped_and_resumed(tmp_path / "run", "wandb")
    found: Points = {}
    names: dict[str, str] = {}
    for path in sorted((out / "wandb").glob("offline-run*/*.wandb")):
        for content in _leveldb_log(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "run":
                names[record.run.run_id] = record.run.display_name
                curve = found.setdefault(record.run.display_name.removeprefix("run/"), {})
            elif record.WhichOneof("record_type") == "history":
                for item in record.history.item:
                    key = item.key or ".".join(item.nested_key)
                    if not key.startswith("_") and record.history.step.num:
                        point = record.history.step.num, float(item.value_json)
                        curve.setdefault(key, []).append(point)
    agree(found, out)
    assert len(names) == len(set(names.values())) == 6  # one id for both sessions of a curve


def _leveldb_log(content: bytes) -> Iterator[bytes]:
    """The records of a log of LevelDB behind a header of seven bytes: blocks of 32 KiB."""
    at, part = 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield part
            part = b""
