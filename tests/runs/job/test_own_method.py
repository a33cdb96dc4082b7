"""A method of the user's own in a run: the same as one of the catalogue, known by its code."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import stillhouse as sh
from stillhouse.engine.nodes import Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import ModelError, RecipeError
from stillhouse.functional import cross_entropy, kl
from stillhouse.recipes import make_recipe, make_study, resolved
from stillhouse.runs.run import prepare
from stillhouse.testing import check_method

RUN = {
    "data": {"source": "digits", "limit": 160, "augment": "none"}, "student": "convnet-4",
    "teacher": "convnet-8", "epochs": 2, "batch": 32, "seeds": 1, "precision": "fp32",
}  # fmt: skip

MINE = '''
from stillhouse import Role, Stage, Term, Update, functional

def soft(student, teacher, *, weight: float = 0.9, temperature: float = 4.0):
    """Labels and the teacher."""
    return Stage("soft", [Role("student", student), Role("teacher", teacher)], [Update("student", [
        Term("label", functional.cross_entropy, ["student.logits", "batch.label"], weight=0.1),
        Term("kd", functional.kl, ["student.logits", "teacher.logits"], weight=weight,
             options={"temperature": temperature}),
    ])])

number = 3
'''


def soft(student, teacher, *, weight: float = 0.9):
    nodes = [Role("student", student), Role("teacher", teacher)]
    label = Term("label", cross_entropy, ["student.logits", "batch.label"], weight=0.1)
    mine = Term("kd", kl, ["student.logits", "teacher.logits"], weight=weight)
    mine.options = {"temperature": 4.0}
    return Stage("soft", nodes, [Update("student", [label, mine])])


def other(student, teacher, *, weight: float = 0.9):
    return soft(student, teacher, weight=2 * weight)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "minestill", raising=False)
    path = tmp_path / "minestill.py"
    path.write_text(MINE)
    return path


def student(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "student.safetensors")


def test_kd_written_anew_is_kd(mine: Path, tmp_path: Path) -> None:
    """From a recipe, and as a function; with the control and the teacher of any other run."""
    check_method(soft, widths=[(4, 6)])
    sh.distill(out=tmp_path / "kd", method="kd", **RUN)
    named = {"name": "python:minestill:soft", "weight": 0.9}
    outcome = sh.distill(out=tmp_path / "named", method=named, allow_imports=True, **RUN)
    sh.distill(out=tmp_path / "given", method={"name": soft, "weight": 0.9}, **RUN)
    wanted = student(tmp_path / "kd")
    for out in ("named", "given"):
        found = student(tmp_path / out)
        assert all(torch.equal(found[key], value) for key, value in wanted.items())
    assert len(list((tmp_path / "shared").glob("control-*"))) == 1
    assert "on digits by soft" in outcome.report.read_text()
    settings = json.loads((tmp_path / "named/scores.json").read_text())["method"]["settings"]
    assert settings == {"weight": 0.9}


def test_its_code_and_settings_decide_the_student(mine: Path, tmp_path: Path) -> None:
    def marks(function, **settings) -> tuple[str, dict]:
        recipe = make_recipe({**small(), "method": {"name": "python:a:b", **settings}})
        job = prepare(recipe, tmp_path / "run", objects=_given(function))
        return job.method_code["code"], job.recipe.method.model_dump()

    assert marks(soft) == marks(soft)
    assert marks(soft)[0] != marks(other)[0]
    with pytest.raises(RecipeError, match="of type partial; give a function"):
        marks(partial(soft, weight=0.5))
    assert marks(soft, weight=0.9) != marks(soft, weight=0.5)


def _given(function):
    from stillhouse.runs.run import Objects

    return Objects(method=function)


def small(**changes) -> dict:
    return {**RUN, **changes}


@pytest.mark.parametrize(
    ("method", "allowed", "kind", "said"),
    [
        ("python:minestill:soft", False, RecipeError, "allow it with --allow-imports"),
        ("python:minestill:sort", True, ModelError, "cannot be imported"),
        ("python:minestill:number", True, RecipeError, "it is of type int; give a function"),
        ({"name": "python:minestill:soft", "wait": 1}, True, RecipeError,
         "no setting 'wait'; nearest: weight"),
        ({"name": "python:minestill:soft", "weight": "much"}, True, RecipeError, "'weight'"),
        ("python:minestill", True, RecipeError, r"write python:PACKAGE\.MODULE:FUNCTION"),
    ],
)  # fmt: skip
def test_mistakes_are_told(mine: Path, tmp_path: Path, method, allowed, kind, said: str) -> None:
    with pytest.raises(kind, match=said):
        sh.distill(out=tmp_path / "run", method=method, allow_imports=allowed, **RUN)
    assert not (tmp_path / "run").exists()


def test_what_it_needs_is_asked_for(mine: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="it takes a teacher; add teacher: MODEL"):
        sh.distill(out=tmp_path / "run", method=soft, **{**RUN, "teacher": None})
    with pytest.raises(RecipeError, match="it takes no peers"):
        sh.distill(out=tmp_path / "run", method=soft, peers=1, **RUN)
    teacher = {"model": "convnet-8", "method": "python:minestill:soft", "teacher": "convnet-16"}
    with pytest.raises(RecipeError, match="a teacher is trained by a method of the catalogue"):
        make_recipe(small(teacher=teacher))


def test_a_recipe_and_a_comparison_name_it(mine: Path) -> None:
    section = {"name": "python:minestill:soft", "weight": 2.0}
    recipe = make_recipe(small(method=section))
    assert make_recipe(resolved(recipe)) == recipe
    study = make_study(small(methods=["kd", section]))
    assert list(study.arms) == ["kd", "python:minestill:soft weight=2.0"]
