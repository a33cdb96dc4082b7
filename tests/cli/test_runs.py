"""``ls runs`` and ``compare RUN RUN``: what is in their tables, what is said of a difference."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from scipy.stats import ttest_rel
from typer.testing import CliRunner

from stillhouse.cli.app import app
from stillhouse.errors import RunError
from stillhouse.recipes import make_recipe
from stillhouse.records.run import Scores
from stillhouse.runs.run import prepare, run
from stillhouse.studies.beside import beside
from stillhouse.studies.listing import listed

VALUES = {
    "data": {"source": "digits", "limit": 96},
    "teacher": {"model": "convnet-8", "epochs": 1},
    "student": "convnet-4",
    "epochs": 2,
    "seeds": 3,
    "batch": 32,
    "precision": "fp32",
    "cache": "never",
    "compile": False,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in their temperature, one on other data, one cut off, one damaged."""
    top = tmp_path_factory.mktemp("home") / "runs"
    asked = {
        "warm": {"method": {"name": "kd", "temperature": 8.0}},
        "deep/cool": {"method": {"name": "kd", "temperature": 1.0}},
    }
    for name, more in asked.items():
        recipe = make_recipe({**VALUES, **more})
        run(prepare(recipe, top / name, shared=top / "shared"))
    for name in ("cut", "broken", "other"):
        shutil.copytree(top / "warm", top / name)
    scores = Scores.read(top / "other" / "scores.json")
    other = scores.model_copy(update={"decisive": {**scores.decisive, "data": "0" * 16}})
    other.write(top / "other" / "scores.json")
    (top / "cut" / "scores.json").unlink()
    (top / "broken" / "scores.json").write_text("{}")
    return top


def said(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_runs_are_found_at_any_depth_with_their_figures(runs: Path) -> None:
    found = {each.directory.relative_to(runs).as_posix(): each for each in listed([runs, runs])}
    assert list(found) == ["broken", "cut", "deep/cool", "other", "warm"]
    assert {name: each.state for name, each in found.items() if each.state != "finished"} == {
        "broken": "damaged", "cut": "unfinished"}  # fmt: skip
    assert "scores.json" in found["broken"].said
    assert found["cut"].said == f"stillhouse resume {runs / 'cut'}"
    scores = json.loads((runs / "warm" / "scores.json").read_text())
    student = scores["models"][-1]
    tests = [each["test"]["last"] for each in student["runs"]]
    warm = found["warm"]
    assert warm.test == pytest.approx(sum(tests) / 3)
    assert (warm.gain, warm.low) == (scores["verdict"]["gain"], scores["verdict"]["low"])
    assert (warm.parameters, warm.word) == (student["parameters"], scores["verdict"]["word"])


def test_the_table_fits_eighty_columns_and_json_has_all(runs: Path, monkeypatch) -> None:
    monkeypatch.chdir(runs.parent)
    monkeypatch.setenv("COLUMNS", "80")
    table = said("ls", "runs")
    assert table.exit_code == 0
    assert max(map(len, table.stdout.splitlines())) <= 80
    word = json.loads(Path("runs/warm/scores.json").read_text())["verdict"]["word"].split()[0]
    for text in ("runs/deep/cool", "damaged", "unfinished", word):
        assert text in table.stdout
    shown = said("show", "runs/warm").stdout
    for product in ("student.safetensors", "student (stillhouse predict", "report.html"):
        assert f"runs/warm/{product}" in shown
    plain = json.loads(said("ls", "runs", "runs/deep", "runs/cut", "--json").stdout)
    assert [each["directory"] for each in plain] == ["runs/deep/cool", "runs/cut"]
    assert plain[0]["metric"]["name"] == "accuracy"
    assert "no run and no study" in said("ls", "runs", "runs/shared").stdout
    assert isinstance(said("ls", "runs", "nowhere").exception, RunError)
    assert "nothing in models is found" in str(said("ls", "models", "no-such").exception)


def test_a_paired_difference_is_that_of_scipy(runs: Path) -> None:
    found = beside([runs / "warm", runs / "deep/cool"])
    assert found.differing == {"method.temperature": (8.0, 1.0)}
    first, second = ([each.test.last for each in scores.models[-1].runs] for scores in found.scores)
    (difference,) = found.differences
    truth = ttest_rel(second, first)
    assert difference.mean == pytest.approx(sum(second) / 3 - sum(first) / 3)
    if truth.pvalue > 0:  # equal gains are never surer than rounding allows
        low, high = truth.confidence_interval(0.95)
        assert (difference.low, difference.high, difference.p) == pytest.approx(
            (low, high, truth.pvalue), rel=1e-6
        )
    assert found.notes == (("their controls are the same",),)


def test_runs_that_cannot_be_compared_say_why(runs: Path) -> None:
    shown = said("compare", runs / "warm", runs / "other")
    assert shown.exit_code == 0
    assert "not comparable: their data are not the same" in " ".join(shown.stdout.split())
    assert beside([runs / "warm", runs / "other"]).differences == (None,)
    for name in ("cut", "broken", "nowhere", "warm"):
        with pytest.raises(RunError):
            beside([runs / "warm", runs / name])


def test_methods_and_runs_are_told_apart(runs: Path, monkeypatch) -> None:
    monkeypatch.chdir(runs)
    monkeypatch.setenv("COLUMNS", "80")
    shutil.copytree("warm", "kd")  # called as a method is
    assert "give one (-o DIR)" in str(said("compare", "kd", "dkd").exception)
    assert "./kd" in str(said("compare", "kd", "warm").exception)
    for mistaken in (["-o", "x"], ["--epochs", "3"], ["--check"]):
        found = said("compare", "./kd", "warm", *mistaken).exception
        assert "leave the options out" in str(found)
    side = said("compare", "./kd", "deep/cool")
    assert side.exit_code == 0
    assert "method.temperature" in side.stdout
    assert max(map(len, side.stdout.splitlines())) <= 80
