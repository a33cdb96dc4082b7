"""Runs of verification: by two processes as by one, and bit for bit after a stop."""

from pathlib import Path

import pytest
import torch
from drawn_people import people_in
from ranks import launch
from safetensors.torch import load_file
from stop_amid import StopAmid

import stillhouse as sh
from stillhouse.models import build_model
from stillhouse.records.run import Scores
from stillhouse.records.tensors import save_tensors

SCRIPT = """
import os, sys
from pathlib import Path
import torch
from stillhouse.recipes import load_recipe
from stillhouse.runs.run import prepare, run

torch.set_num_threads(1)
os.chdir(sys.argv[1])
run(prepare(load_recipe(Path("recipe.yaml"), []), Path(sys.argv[2])))
"""
RECIPE = """
data: {source: people, test: 4, validation: 3, split_seed: 1}
task: {name: verification, mirrored: true}
teacher: {model: convnet-4-8, weights: teacher.safetensors, head: none}
student: convnet-4-4
method: {name: embedding_kd, kd_weight: 0}
epochs: 1
batch: 8
seeds: 1
precision: fp32
device: cpu
"""


def test_two_processes_measure_what_one_does(tmp_path: Path) -> None:
    people_in(tmp_path / "people")
    teacher = build_model("convnet-4-8", classes=5, channels=1)
    save_tensors(tmp_path / "teacher.safetensors", teacher.state_dict(), {})
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace(", head: none", ""))
    launch(2, SCRIPT, tmp_path, "two/run")
    launch(1, SCRIPT, tmp_path, "one/run")
    two, one = (Scores.read(tmp_path / which / "run/scores.json") for which in ("two", "one"))
    (mine,), (theirs,) = two.figures, one.figures
    assert mine.about == theirs.about
    for first, second in zip(mine.networks, theirs.networks, strict=True):
        for name, figure in first.figures.items():
            if first.role == "teacher":  # the same network: only the rows were shared out
                assert figure.by_seed == pytest.approx(second.figures[name].by_seed, abs=1e-9)
    (student,) = [each for each in two.models if each.role == "student"]
    told = next(each for each in mine.networks if each.role == "student").figures["EER"].value
    assert student.runs[0].test.last == pytest.approx(told, abs=1e-12)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits_and_figures(tmp_path: Path) -> None:
    folder = people_in(tmp_path / "people")

    def go(out: str, **more):
        return sh.distill(
            data={"source": folder, "test": 4, "validation": 3}, teacher="convnet-4-8",
            student="convnet-4-4", method="th_kd", task={"name": "verification"}, epochs=3, seeds=1,
            batch=8, precision="fp32", checkpoint_seconds=0.0, out=tmp_path / out / "run", **more,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        go("stopped", watcher=StopAmid(2))
    assert list((tmp_path / "stopped").rglob("checkpoint.pt"))
    stopped, whole = go("stopped"), go("whole")
    mine, theirs = (load_file(each.directory / "student.safetensors") for each in (stopped, whole))
    assert all(torch.equal(mine[name], value) for name, value in theirs.items())
    assert stopped.scores["figures"] == whole.scores["figures"]
    assert stopped.scores["verdict"] == whole.scores["verdict"]
