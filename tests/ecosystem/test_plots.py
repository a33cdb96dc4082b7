"""Figures of matplotlib show the numbers of the files, and a notebook shows them by itself."""

import json
import statistics
from pathlib import Path

import pytest

import stillhouse as sh

pytestmark = pytest.mark.ecosystem
pytest.importorskip("matplotlib")

SMALL = {
    "data": {"source": "digits", "limit": 192},
    "teacher": {"model": "convnet-8-8", "epochs": 1},
    "student": "convnet-4-4",
    "epochs": 3,
    "seeds": 3,
    "batch": 64,
    "precision": "fp32",
    "compile": False,
    "cache": "never",
    "arms": {"kd $a$": None, "dkd": {"method": "dkd"}},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    return sh.study(SMALL, out=tmp_path_factory.mktemp("plots") / "s", quiet=True)


def test_a_run_is_drawn_from_its_files(study, tmp_path: Path) -> None:
    run = study.arms["dkd"]
    figure = run.plot()
    curves, gains = figure.axes
    lines = [
        json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()
    ]
    by_hand = [
        100 * statistics.fmean(
            line["validation"]["student"]["accuracy"]
            for line in lines if (line["stage"], line["epoch"]) == ("student", epoch)
        )
        for epoch in (1, 2, 3)
    ]  # fmt: skip
    drawn = {line.get_label(): line for line in curves.lines}
    assert list(drawn["student"].get_ydata()) == pytest.approx(by_hand)
    verdict = json.loads((run.directory / "scores.json").read_text())["verdict"]
    assert list(gains.lines[0].get_xdata()) == pytest.approx([100 * g for g in verdict["gains"]])
    assert [label.get_text() for label in gains.get_yticklabels()] == [
        "seed 0", "seed 1", "seed 2", "mean",
    ]  # fmt: skip
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "run.pdf")


def test_a_study_is_drawn_best_arm_first(study) -> None:
    (axes,) = study.plot().axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [name.replace("$", r"\$") for name in study.table.index]
    written = json.loads((study.directory / "study.json").read_text())
    first = next(arm for arm in written["arms"] if arm["name"] == study.best)
    theirs = [100 * run["test"]["last"] for run in first["runs"]]
    assert list(axes.lines[0].get_xdata()) == pytest.approx(theirs)
    study.plot()._repr_png_()
