"""How far a run goes: what was built or checked once is used again."""

from collections import Counter
from pathlib import Path

import pytest

from stillhouse.engine import objective
from stillhouse.recipes import make_recipe
from stillhouse.runs.job import networks
from stillhouse.runs.run import prepare, run

RECIPE = {
    "data": {"source": "digits", "limit": 200},
    "student": "convnet-4-8",
    "teacher": {"model": "convnet-8-8", "epochs": 1},
    "method": "kd",
    "epochs": 2,
    "seeds": 1,
    "precision": "fp32",
}


@pytest.fixture
def calls(monkeypatch) -> Counter[str]:
    counts: Counter[str] = Counter()
    for module, name in ((networks, "build_model"), (objective, "wire")):
        real = getattr(module, name)

        def counted(*args, _real=real, _name=name, **kwargs):
            counts[_name] += 1
            return _real(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)
    return counts


def test_one_teacher_one_control_one_student(tmp_path: Path, calls: Counter[str]) -> None:
    """Checked: teacher and student. Built then: each once, one to time, one to plan the serving."""
    job = prepare(make_recipe(RECIPE), tmp_path / "run")
    assert calls == {"build_model": 2, "wire": 2}
    run(job)
    assert calls["build_model"] <= 7
    assert calls["wire"] == 2 + 3, "three fits; what was fitted is what is scored"


def test_a_finished_run_builds_no_network_for_a_plan(tmp_path: Path, calls: Counter[str]) -> None:
    run(prepare(make_recipe(RECIPE), tmp_path / "run"))
    calls.clear()
    run(prepare(make_recipe(RECIPE), tmp_path / "run"))
    assert calls["build_model"] <= 2 + 3
    assert calls["wire"] <= 2 + 3 + 2, "scored, and teacher and control looked at"
