"""The command that searches, and the recipe that it leaves."""

import sys
from pathlib import Path

import pytest

RECIPE = """
data: {source: digits, limit: 128}
teacher: {model: convnet-8, epochs: 2}
student: convnet-4
epochs: 4
seeds: 1
control: no
cache: never
compile: no
"""


def test_from_a_search_to_a_run_of_its_best(command) -> None:
    pytest.importorskip("optuna", reason="a search needs the extra 'search'")
    Path("small.yaml").write_text(RECIPE)
    said = command("search", "small.yaml", "--trials", 2, "--parameters", 20_000)
    assert said.code == 0, said.err
    assert "2 trained" in said.out
    assert "best: stillhouse run runs/small-search/best.yaml" in said.out
    again = command("search", "small.yaml", "--trials", 2, "--parameters", 20_000, "-q")
    assert again.out.strip().splitlines()[-4:] == said.out.strip().splitlines()[-4:]

    run = command("run", "runs/small-search/best.yaml")
    assert run.code == 0, run.err
    assert "teacher: finished before" in run.out, "the teacher is that of the search"


def test_mistakes_are_told(command, monkeypatch) -> None:
    Path("small.yaml").write_text(RECIPE)
    said = command("search", "small.yaml")
    assert said.code == 2
    assert "--parameters 50000 or --latency-ms 2.0" in said.err
    Path("study.yaml").write_text(RECIPE + "sweep: {epochs: [1, 2]}\n")
    assert "it is a study" in command("search", "study.yaml", "--parameters", 9).err
    for wrong in (0, -1):
        said = command("search", "small.yaml", "--parameters", 9, "--epochs", wrong)
        assert said.code == 2
        assert "Invalid value for '--epochs'" in said.err
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = command("search", "small.yaml", "--parameters", 20_000, "-o", "out")
    assert said.code == 2
    assert "stillhouse[search]" in said.err
