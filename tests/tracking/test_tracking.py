"""Trackers hear of every epoch once, whatever happens to them or a run; no bit depends on them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from stop_amid import StopAmid
from typer.testing import CliRunner

from stillhouse.cli.app import app
from stillhouse.errors import RecipeError, RunError
from stillhouse.recipes import make_recipe, make_study, override
from stillhouse.records.files import Lines
from stillhouse.records.run import Scores
from stillhouse.runs.directory import same_run
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.runs.run import prepare, run
from stillhouse.studies.study import prepare_study, run_study
from stillhouse.tracking import names, sessions
from stillhouse.tracking.state import TRACKING

VALUES = {
    "data": {"source": "digits", "limit": 64},
    "teacher": {"model": "convnet-8", "epochs": 2},
    "student": "convnet-4",
    "epochs": 4,
    "seeds": 1,
    "batch": 32,
    "precision": "fp32",
    "cache": "never",
    "compile": False,
    "checkpoint_seconds": 0.0,
}


class Book:
    """A tracker that keeps what it hears, uses all randomness there is, and fails when told to."""

    def __init__(self) -> None:
        self.points: dict[str, list[int]] = {}
        self.values: dict[str, dict[int, dict]] = {}
        self.summaries: dict[str, object] = {}
        self.fails = lambda _name, _epoch: False
        self.asked = 0

    def open(self, wanted: sessions.Wanted) -> sessions.Session:
        book = self

        class Page(sessions.Session):
            def log(self, values, epoch: int) -> None:
                book.asked += 1
                torch.rand(3), np.random.rand(3)
                if book.fails(wanted.name, epoch):
                    raise ConnectionError("no route to the tracker")
                book.points.setdefault(wanted.name, []).append(epoch)
                book.values.setdefault(wanted.name, {})[epoch] = dict(values)

            def conclude(self, summary) -> None:
                book.summaries[wanted.name] = summary

            def close(self) -> None:
                pass

        return Page(None, wanted.name, max(self.points.get(wanted.name, [0])))


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    made = Book()
    monkeypatch.setitem(sessions.OPENERS, "trackio", made.open)
    monkeypatch.setattr(names, "find_spec", lambda _package: True)
    return made


class Voice(SilentWatcher):
    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


def ran(out: Path, watcher=None, **more):
    return run(prepare(make_recipe({**VALUES, **more}), out, watcher=watcher))


def test_curves_are_those_of_the_metrics_and_change_no_bit(tmp_path: Path, book: Book) -> None:
    plain = ran(tmp_path / "plain" / "run")
    tracked = ran(tmp_path / "tracked" / "run", track="trackio")
    for name in ("student.safetensors", "student-best.safetensors"):
        assert (plain.directory / name).read_bytes() == (tracked.directory / name).read_bytes()
    assert plain.scores["decisive"] == tracked.scores["decisive"]
    assert not (plain.directory / TRACKING).exists()

    lines = Lines(tracked.directory / "metrics.jsonl").read()
    roles = {f"{line['stage']}/seed-{line['seed']}" for line in lines}
    assert {"teacher/seed-0", "control/seed-0", "student/seed-0"} == roles == set(book.points)
    assert book.points["student/seed-0"] == [1, 2, 3, 4]
    for line in lines:
        drawn = book.values[f"{line['stage']}/seed-{line['seed']}"][line["epoch"]]
        assert drawn["loss"] == line["loss"]
        assert drawn["lr"] == line["lr"]
        assert {f"term/{name}" for name in line["terms"]} <= set(drawn)
        assert drawn["validation/accuracy"] == line["validation"]["student"]["accuracy"]

    summary = book.summaries["summary"]
    scores = Scores.read(tracked.directory / "scores.json")
    assert summary.verdict == scores.verdict.sentence
    assert [row[0] for row in summary.rows] == ["teacher", "control", "student"]
    student = scores.models[-1].runs[0]
    assert summary.figures["test/student"] == pytest.approx(100 * student.test.last)
    assert summary.figures["gain"] == pytest.approx(100 * scores.verdict.gain)
    assert summary.report.is_file()


def test_a_stopped_run_goes_on_in_the_same_curve(tmp_path: Path, book: Book) -> None:
    with pytest.raises(KeyboardInterrupt):
        ran(tmp_path / "run", StopAmid(2), track="trackio")
    assert book.points["student/seed-0"] in ([1], [1, 2])
    del book.points["student/seed-0"][1:]  # as though the tracker had lost one that it was given
    book.asked = 0
    ran(tmp_path / "run", track="trackio")
    assert book.points["student/seed-0"] == [1, 2, 3, 4]
    assert book.asked == 3  # nothing is told of what was finished, such as the control
    assert book.points["control/seed-0"] == [1, 2, 3, 4]
    book.asked = 0
    ran(tmp_path / "run", track="trackio")
    assert book.asked == 0


def test_a_tracker_that_fails_is_tried_again_and_told_of(tmp_path: Path, book: Book) -> None:
    book.fails = lambda name, _epoch: name == "control/seed-0" and book.asked % 2
    voice = Voice()
    healed = ran(tmp_path / "healed" / "run", voice, track="trackio")
    assert sorted(book.points["control/seed-0"]) == [1, 2, 3, 4]
    first, last = (said for said in voice.warned if said.startswith("trackio"))
    assert "goes on without it: ConnectionError: no route to the tracker" in first
    assert "nothing is missing there" in last
    assert not [said for said in healed.warnings if "trackio" in said]

    book.fails, voice = lambda _name, _epoch: True, Voice()
    book.points.clear()
    book.asked = 0
    ran(tmp_path / "lost" / "run", voice, track="trackio")
    assert book.asked == 3  # then it is let alone
    assert "11 points are missing" in voice.warned[-1]  # 2 + 4 + 4 epochs, and the summary
    kept = json.loads((tmp_path / "lost" / "run" / TRACKING).read_text())
    assert kept["trackers"]["trackio"]["failed"] == 3


def test_arms_of_a_study_draw_what_they_share_once(tmp_path: Path, book: Book) -> None:
    arms = {"kd": {"method": "kd"}, "wide one": {"method": "kd", "student": "convnet-6"}}
    study = make_study({**VALUES, "track": {"to": "trackio", "project": "mine"}, "arms": arms})
    run_study(prepare_study(study, tmp_path / "study"))
    assert {name: len(points) for name, points in book.points.items()} == {
        "teacher/seed-0": 2,
        "control/seed-0": 4,
        "kd/student/seed-0": 4,
        "wide-one/control/seed-0": 4,
        "wide-one/student/seed-0": 4,
    }
    assert set(book.summaries) == {"kd/summary", "wide-one/summary", "summary"}
    assert [row[0] for row in book.summaries["summary"].rows] == ["kd", "wide one"]
    assert not list((tmp_path / "study" / "arms").rglob(TRACKING))


def test_what_is_not_installed_is_said_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "find_spec", lambda _package: None)
    with pytest.raises(RecipeError, match="wandb is not installed; pip install wandb"):
        ran(tmp_path / "run", track="wandb")
    assert not (tmp_path / "run").exists()
    networks = ["--student", "convnet-4", "--teacher", "convnet-8"]
    asked = ["distill", "--data", "digits", *networks, "--track", "mlflow,wandb"]
    said = CliRunner().invoke(app, [*asked, "-o", str(tmp_path / "run")])
    assert "mlflow and wandb are not installed" in str(said.exception)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("tensorboard", ("tensorboard",)), ("mlflow, wandb", ("mlflow", "wandb")),
     (["trackio", "trackio"], ("trackio",)), ("none", None), (False, None), (None, None)],
)  # fmt: skip
def test_how_trackers_are_named(asked, meant) -> None:
    track = make_recipe({**VALUES, "track": asked}).track
    assert (track and track.to) == meant


def test_mistakes_and_what_may_change() -> None:
    with pytest.raises(RecipeError, match="no tracker 'tensorbord'; nearest: tensorboard"):
        make_recipe({**VALUES, "track": "tensorbord"})
    named = make_recipe(override({**VALUES, "track": "mlflow"}, ["track.project=mine"]))
    assert (named.track.to, named.track.project) == (("mlflow",), "mine")
    assert same_run({"track": {"to": ["mlflow"]}, "epochs": 1}) == {"epochs": 1}


def test_a_damaged_note_of_what_is_drawn_is_refused(tmp_path: Path, book: Book) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        ran(out, StopAmid(1), track="trackio")
    (out / TRACKING).write_text("{")
    with pytest.raises(RunError, match=r"tracking\.json .* delete it"):
        ran(out, track="trackio")
