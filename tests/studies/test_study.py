"""Studies: one load, shared controls, going on after a kill, arms that diverge."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from study_of_twelve import study_of_twelve

from stillhouse.errors import RecipeError, RunError
from stillhouse.models import build_model
from stillhouse.recipes import Study, make_study
from stillhouse.records.checked import write_checked
from stillhouse.records.metric import ACCURACY
from stillhouse.report.study_finding import finding
from stillhouse.report.study_record import read_study
from stillhouse.report.study_rows import study_rows
from stillhouse.runs.job import data as loading
from stillhouse.runs.judging import scoring
from stillhouse.studies import pieces as room
from stillhouse.studies.arms import arm_fingerprint
from stillhouse.studies.comparisons import differences
from stillhouse.studies.directory import arm_directories, noted_folders
from stillhouse.studies.study import prepare_study, run_study
from stillhouse.studies.table import arm_line

COMMON = {
    "data": {"source": "digits", "limit": 128},
    "teacher": {"model": "convnet-8", "epochs": 1},
    "student": "convnet-4",
    "epochs": 1,
    "seeds": 2,
    "precision": "fp32",
    "cache": "never",
    "compile": False,
}
WILD = {"optimizer": {"name": "sgd", "lr": 1e30}, "epochs": 2}


def study(**changes: object) -> Study:
    arms = {"kd": None, "kd 1.5": {"method.weight": 1.5}, "slow": {"epochs": 2}}
    return make_study({**COMMON, "arms": arms, "against": "kd", **changes})


def arm(table: dict, name: str) -> dict:
    return next(entry for entry in table["arms"] if entry["name"] == name)


@pytest.fixture
def calls(monkeypatch) -> Callable[[object, str], list]:
    """Count the calls of a function of a module."""

    def count(module: object, name: str) -> list:
        seen, real = [], getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: (seen.append(a), real(*a, **k))[1])
        return seen

    return count


def test_data_are_loaded_once_and_controls_shared(tmp_path: Path, calls) -> None:
    loads = calls(loading, "load")
    prepared = prepare_study(study(), tmp_path / "s")
    assert len(loads) == 1
    tables = {id(job.data.splits.train) for job in prepared.jobs.values()}
    assert len(tables) == 1
    assert not (tmp_path / "s").exists(), "preparing writes nothing"
    outcome = run_study(prepared)
    assert len(loads) == 1
    shared = [path.name.rsplit("-", 1)[0] for path in (tmp_path / "shared").glob("*-seed*")]
    assert sorted(shared) == (
        ["control-convnet-4-seed0"] * 2 + ["control-convnet-4-seed1"] * 2
        + ["teacher-convnet-8-seed0"]
    )  # fmt: skip
    table = json.loads((tmp_path / "s/study.json").read_text())
    assert {key: value for key, value in table.items() if key != "checksum"} == outcome.scores
    assert table["finished"]
    kd, heavy = arm(table, "kd"), arm(table, "kd 1.5")
    assert kd["controls"] == heavy["controls"]
    assert (tmp_path / "s" / heavy["directory"] / "report.html").is_file()
    gains = [
        mine["test"]["last"] - theirs["test"]["last"]
        for mine, theirs in zip(heavy["runs"], kd["runs"], strict=True)
    ]
    assert heavy["over_against"]["mean"] == pytest.approx(sum(gains) / 2)
    assert heavy["over_against"]["seeds"] == 2
    assert kd["over_against"] is None


def test_a_teacher_that_came_trained_is_scored_once_for_all_arms(tmp_path: Path, calls) -> None:
    """But anew where the arm shows it another image."""
    module = build_model("convnet-8", classes=10, channels=1)
    save_file(module.state_dict(), tmp_path / "teacher.safetensors")
    teacher = {"model": "convnet-8", "weights": str(tmp_path / "teacher.safetensors")}
    arms = {"a": None, "b": {"method.weight": 1.5}, "c": {"teacher.input": {"size": 12}}}
    scored = calls(scoring, "given_score")
    values = study(teacher=teacher, arms=arms, against=None, seeds=1)
    table = run_study(prepare_study(values, tmp_path / "s")).scores
    assert len(scored) == 2
    one, same = (arm(table, name)["teacher"][0]["test"]["last"] for name in "ab")
    assert one == same


def test_data_that_differ_are_loaded_for_themselves(tmp_path: Path, calls) -> None:
    loads = calls(loading, "load")
    arms = {"a": None, "b": {"batch": 16}, "c": {"data.augment": "none"}, "d": {"data.limit": 64}}
    jobs = prepare_study(study(arms=arms, against="a"), tmp_path / "s").jobs
    assert len(loads) == 2, "batch and augmentation are no reason to load again"
    assert [job.data.batch for job in jobs.values()] == [64, 16, 64, 64]
    assert jobs["c"].data.augment.crop == 0 != jobs["a"].data.augment.crop
    assert len(jobs["d"].data.splits.train) < len(jobs["a"].data.splits.train)


def test_a_study_that_was_killed_between_arms_goes_on(tmp_path: Path, calls) -> None:
    whole = run_study(prepare_study(study(), tmp_path / "whole/s")).scores

    def killed(entry: dict) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(prepare_study(study(), tmp_path / "s"), done=killed)
    half = json.loads((tmp_path / "s/study.json").read_text())
    assert [entry["state"] for entry in half["arms"]] == ["finished", "waiting", "waiting"]
    assert not half["finished"]
    runs = calls(room, "run")
    table = run_study(prepare_study(study(), tmp_path / "s")).scores
    assert len(runs) == 2, "the finished arm is taken as it is"
    assert table["created"] == half["created"]
    for mine, theirs in zip(table["arms"], whole["arms"], strict=True):
        assert [run["test"] for run in mine["runs"]] == [run["test"] for run in theirs["runs"]]
        assert mine["gain"] == theirs["gain"]
    run_study(prepare_study(study(), tmp_path / "s"))
    assert len(runs) == 2


def test_an_arm_is_found_finished_without_the_table_and_changed_when_changed(
    tmp_path: Path, calls
) -> None:
    before = run_study(prepare_study(study(), tmp_path / "s")).scores
    (tmp_path / "s/study.json").unlink()  # killed after the arm and before it was written
    again = run_study(prepare_study(study(), tmp_path / "s")).scores
    assert all(run["test"] for entry in again["arms"] for run in entry["runs"])
    assert [e["gain"] for e in again["arms"]] == [e["gain"] for e in before["arms"]]
    more = study(arms={"kd": None, "new": {"method.weight": 3}})
    runs = calls(room, "run")
    table = run_study(prepare_study(more, tmp_path / "s")).scores
    assert [entry["name"] for entry in table["arms"]] == ["kd", "new"]
    assert len(runs) == 1, "only the new arm"
    other = study(arms={"kd": {"batch": 32}})
    with pytest.raises(RunError, match="differs in batch"):
        run_study(prepare_study(other, tmp_path / "s"))


def test_a_changed_arm_is_told_and_nothing_is_overwritten(tmp_path: Path) -> None:
    out, one = tmp_path / "s", {"kd": {"method.temperature": 4}}
    run_study(prepare_study(study(arms=one, seeds=1), out))
    files = ("study.json", "study.yaml", "report.html")
    before = {name: (out / name).read_bytes() for name in files}
    changed = study(arms={"kd": {"method.temperature": 16}, "new": None}, seeds=1)
    with pytest.raises(RunError) as caught:
        run_study(prepare_study(changed, out))
    said = str(caught.value)
    assert "arm 'kd' differs in method.temperature (there: 4.0, asked: 16.0)" in said
    assert f"{out / 'arms/kd'}. Rename what was changed, or delete its directory" in said
    assert {name: (out / name).read_bytes() for name in files} == before
    shutil.rmtree(out / "arms/kd")
    table = run_study(prepare_study(changed, out)).scores
    assert [entry["state"] for entry in table["arms"]] == ["finished", "finished"]


def test_weights_of_every_ancestor_are_part_of_an_arm(tmp_path: Path) -> None:
    file = tmp_path / "head.safetensors"
    teacher = {
        "model": "convnet-8",
        "epochs": 1,
        "head": {"model": "convnet-8", "weights": str(file)},
    }
    values = study(teacher=teacher, arms={"a": None}, against=None, seeds=1)
    marks = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        save_file(build_model("convnet-8", classes=10, channels=1, size=8).state_dict(), file)
        (job,) = prepare_study(values, tmp_path / "s").jobs.values()
        marks.append(arm_fingerprint(job))
        assert arm_fingerprint(job) == marks[-1]
    assert marks[0] != marks[1]


def test_a_finished_arm_stays_where_it_is(tmp_path: Path, calls) -> None:
    out = tmp_path / "s"
    run_study(prepare_study(study(arms={"kd 1": None}, against=None, seeds=1), out))
    runs = calls(room, "run")
    more = study(arms={"kd 1": None, "kd-1": {"method.weight": 2}}, against=None, seeds=1)
    table = run_study(prepare_study(more, out)).scores
    assert arm(table, "kd 1")["directory"] == "arms/kd-1"
    assert arm(table, "kd-1")["directory"].startswith("arms/kd-1-")
    assert len(runs) == 1, "only the new arm"


def test_folders_outside_of_the_study_are_not_believed(tmp_path: Path) -> None:
    said = ["arms/a", "arms/../..", "arms/..", "elsewhere/b", "/etc", "arms/", "", "arms/a"]
    table = study_of_twelve()
    arms = [{**table["arms"][0], "name": str(at), "directory": d} for at, d in enumerate(said)]
    write_checked(tmp_path / "study.json", {**table, "arms": arms})
    assert noted_folders(tmp_path) == {"0": "a"}


def test_it_is_said_that_the_teacher_diverged(tmp_path: Path) -> None:
    wild = study(arms={"x": None}, against=None, control=False, seeds=1, **WILD)
    table = run_study(prepare_study(wild, tmp_path / "s")).scores
    assert arm(table, "x")["stage"] == "teacher"
    assert arm_line(arm(table, "x"), ACCURACY).startswith("x: the teacher diverged (")
    page = read_study(tmp_path / "s")
    assert study_rows(page)[0].note.startswith("the teacher diverged: ")
    assert finding(page)[-1] == "The teacher diverged, and so without a number: x."


def test_an_arm_that_diverges_is_a_row_and_does_not_stop_the_study(tmp_path: Path) -> None:
    arms = {"wild": {"method.weight": 3e38}, "kd": None}
    table = run_study(prepare_study(study(arms=arms), tmp_path / "s")).scores
    assert arm(table, "wild")["state"] == "diverged"
    assert "not finite" in arm(table, "wild")["message"]
    assert "stage" not in arm(table, "wild")
    assert arm(table, "wild")["gain"] is None
    assert arm(table, "kd")["state"] == "finished"
    assert arm(table, "kd")["gain"]["word"] == "too few seeds to tell"
    assert table["finished"]


def test_every_arm_is_wired_before_anything_is_trained(tmp_path: Path) -> None:
    arms = {
        "a": {"method": {"name": "th_kd", "head": "layre9"}},
        "b": {"student": "convnet-four"},
        "c": None,
    }
    with pytest.raises(RecipeError) as caught:
        prepare_study(study(arms=arms, against="c"), tmp_path / "s")
    assert "arm 'a'" in str(caught.value)
    assert "layre9" in str(caught.value)
    assert "arm 'b'" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s/letter.txt").write_text("mine")
    with pytest.raises(RunError, match="no directory of a study"):
        run_study(prepare_study(study(), tmp_path / "s"))
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["letter.txt"]


def test_names_become_directories_that_differ() -> None:
    names = ["kd 1.5", "kd/1.5", "KD-1.5", "../up", "→", "x" * 200, "x" * 201]
    found = arm_directories(Path("s"), names)
    assert len({path.as_posix().lower() for path in found.values()}) == len(names)
    assert all(path.parent == Path("s/arms") for path in found.values())
    assert all(len(path.name) < 100 and path.name.strip(".") for path in found.values())
    assert arm_directories(Path("s"), ["alpha=1, k=2"])["alpha=1, k=2"].name == "alpha=1-k=2"


def test_pairs_are_over_seeds_that_both_have() -> None:
    assert differences({0: 0.5, 1: 0.75, 2: 1.0}, {2: 0.5, 1: 0.25}) == [0.5, 0.5]
