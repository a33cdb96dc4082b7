"""What a call gives: numbers against scores.json by hand, networks against the files."""

import json
import math
import statistics
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from scipy import stats

import stillhouse as sh
from stillhouse.errors import MissingExtra, RunError
from stillhouse.report.notebook import run_html
from stillhouse.runs.outcome import Outcome
from stillhouse.studies.outcome import StudyOutcome

BUDGET = {"epochs": 2, "batch": 64, "seeds": [3, 5], "precision": "fp32", "compile": False,
          "cache": "never"}  # fmt: skip
STUDY = {
    "data": {"source": "digits", "limit": 192},
    "teacher": {"model": "convnet-8-8", "epochs": 1},
    "student": "convnet-4-4",
    "arms": {"kd": None, "dkd": {"method": "dkd"}},
    **BUDGET,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyOutcome:
    return sh.study(STUDY, out=tmp_path_factory.mktemp("outcome") / "s", quiet=True)


@pytest.fixture(scope="module")
def run(study: StudyOutcome) -> Outcome:
    return study.arms["kd"]


def by_hand(run: Outcome) -> dict[str, dict[int, float]]:
    written = json.loads((run.directory / "scores.json").read_text())
    return {
        model["role"]: {each["seed"]: each["test"]["last"] for each in model["runs"]}
        for model in written["models"]
    }


def test_the_gain_is_that_of_the_scores(run: Outcome) -> None:
    tests = by_hand(run)
    gains = {seed: tests["student"][seed] - tests["control"][seed] for seed in (3, 5)}
    mean = statistics.fmean(gains.values())
    assert run.gain.by_seed == pytest.approx(gains)
    assert (run.gain.seeds, run.gain.value) == (2, pytest.approx(mean))
    half = stats.t.ppf(0.975, 1) * statistics.stdev(gains.values()) / math.sqrt(2)
    assert run.gain.high - run.gain.low >= 2 * half - 1e-12, "equal gains vary by rounding"
    assert f"{100 * mean:+.2f}".lstrip("+") in str(run.gain)
    assert str(run.gain).endswith("2 paired seeds)")


def test_the_tables_hold_the_scores(run: Outcome) -> None:
    tests, table = by_hand(run), run.table
    assert list(table.index) == ["teacher", "control", "student"]
    assert table.loc["student", "test"] == pytest.approx(
        statistics.fmean(tests["student"].values())
    )
    half = stats.t.ppf(0.975, 1) * statistics.stdev(tests["student"].values()) / math.sqrt(2)
    assert table.loc["student", "test_half"] == pytest.approx(half)
    assert table.loc["student", "parameters"] == sum(p.numel() for p in run.student.parameters())
    assert run.runs.set_index(["role", "seed"])["test"].to_dict() == {
        (role, seed): value for role, seeds in tests.items() for seed, value in seeds.items()
    }
    lines = [
        json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()
    ]
    epochs = run.epochs.set_index(["role", "seed", "epoch"])
    assert len(epochs) == len(lines) == 9
    for line in lines:
        row = epochs.loc[(line["stage"], line["seed"], line["epoch"])]
        assert row["validation"] == next(iter(line["validation"].values()))["accuracy"]
        assert row["term label"] == line["terms"]["label"]


@pytest.mark.parametrize("role", ["student", "teacher", "control"])
def test_networks_are_those_of_the_files(run: Outcome, role: str) -> None:
    shared = run.directory.parents[2] / "shared"
    places = {"teacher": "teacher-*/student", "control": "control-*seed3*/student"}
    folder = run.directory if role == "student" else shared
    (file,) = folder.glob(f"{places.get(role, 'student')}.safetensors")
    kept = load_file(file)
    for found in (run, sh.outcome(run.directory, shared=shared)):
        module = getattr(found, role)
        assert not module.training
        state = module.state_dict()
        assert state.keys() == kept.keys()
        assert all(torch.equal(state[key], kept[key]) for key in kept)


def test_what_is_gone_is_told_and_not_trained(run: Outcome, tmp_path: Path) -> None:
    elsewhere = sh.outcome(run.directory, shared=tmp_path / "none")
    for role in ("teacher", "control"):
        with pytest.raises(RunError, match=f"the {role} was kept in .*none.*, and is gone"):
            getattr(elsewhere, role)
    assert not (tmp_path / "none").exists() or not any((tmp_path / "none").iterdir())
    assert elsewhere.student is not None
    with pytest.raises(RunError, match="there is no directory"):
        sh.outcome(tmp_path / "nothing")


def test_a_short_repr_and_an_escaped_table(run: Outcome, study: StudyOutcome) -> None:
    assert 2 <= len(repr(run).splitlines()) <= 5
    assert run.verdict in repr(run)
    assert 2 <= len(repr(study).splitlines()) <= 5
    shown = run._repr_html_()
    assert all(f">{role}</td>" in shown for role in ("teacher", "control", "student"))
    evil = run.record.scores.model_copy(update={"title": "<script>1</script>"})
    record = type(run.record)(name="x", scores=evil, epochs=run.record.epochs)
    assert "<script" not in run_html(record, "<b>", ["<img>"])
    assert "dkd" in study._repr_html_()


def test_a_study_gives_its_arms(study: StudyOutcome) -> None:
    written = json.loads((study.directory / "study.json").read_text())
    means = {
        arm["name"]: statistics.fmean(run["test"]["last"] for run in arm["runs"])
        for arm in written["arms"]
    }
    assert study.table["test"].to_dict() == pytest.approx(means)
    assert study.best == max(means, key=lambda name: means[name]) or len(set(means.values())) == 1
    for arm in written["arms"]:
        theirs = {run["seed"]: run["test"]["last"] for run in arm["controls"]}
        gains = [run["test"]["last"] - theirs[run["seed"]] for run in arm["runs"]]
        assert list(study.gain[arm["name"]].by_seed.values()) == pytest.approx(gains)
        assert study.gain[arm["name"]].value == pytest.approx(statistics.fmean(gains))
    assert len(study.runs) == 2 * (1 + 2 + 2)
    again = sh.outcome(study.directory)
    assert list(again.arms) == list(study.arms) == ["kd", "dkd"]
    assert again.verdict == study.verdict
    image = torch.rand(2, 1, 8, 8)
    assert torch.equal(again.student(image), study.student(image))
    with pytest.raises(RunError, match="no arm 'kdd' is finished; nearest: kd"):
        again.arms["kdd"]


def test_without_matplotlib_a_plot_says_what_to_install(run: Outcome, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'stillhouse\[plot\]'"):
        run.plot()
