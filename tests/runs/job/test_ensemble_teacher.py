"""A teacher that is several networks: trained each for itself, cached, found again."""

from pathlib import Path

import pytest

import stillhouse as sh
from stillhouse.errors import RecipeError
from stillhouse.recipes import make_recipe, resolved
from stillhouse.runs.run import prepare

BASE = {"data": {"source": "digits", "limit": 160, "augment": "none"}, "student": "convnet-4-8-16"}
MEMBERS = ["convnet-4-8-16", {"model": "convnet-8-8-16", "seed": 1, "input": {"size": 16}}]


def distil(out: Path, method: str):
    settings = {"epochs": 2, "batch": 32, "seeds": 1, "precision": "fp32"}
    return sh.distill(
        out=out,
        data={"source": "digits", "limit": 160, "augment": "none"},
        student="convnet-4-8-16",
        teacher=MEMBERS,
        method=method,
        **settings,
    )


def prepared(out: Path, **settings):
    return prepare(make_recipe({**BASE, **settings}), out)


def trained(out: Path) -> list[str]:
    found = [path.name for path in (out / "shared").glob("*")]
    return sorted(name for name in found if not name.startswith("teacher-cache-"))


def test_members_are_trained_each_and_teach_together(tmp_path: Path) -> None:
    recipe = make_recipe({**BASE, "teacher": MEMBERS, "method": "multi_teacher_kd"})
    assert make_recipe(resolved(recipe)) == recipe
    assert recipe.title.startswith("convnet-4-8-16 + convnet-8-8-16 -> convnet-4-8-16")
    outcome = distil(tmp_path / "run", "multi_teacher_kd")
    models = {model["role"]: model for model in outcome.scores["models"]}
    assert set(models) == {"control", "student", "teacher", "teacher 1", "teacher 2"}
    members = [models[f"teacher {at}"]["parameters"] for at in (1, 2)]
    assert models["teacher"]["parameters"] == sum(members)
    before = trained(tmp_path)
    assert sum(name.startswith("teacher") for name in before) == 2
    distil(tmp_path / "kd", "kd")
    assert trained(tmp_path) == before, "the same members and the same control serve both"


def test_what_its_members_read_decides_what_it_teaches(tmp_path: Path) -> None:
    """An adapter has no weights, so the inputs are in the fingerprints by themselves."""

    def identity(size: int) -> tuple[str, str]:
        member = {"model": "convnet-4-8-16", "input": {"size": size}}
        job = prepared(tmp_path / "run", teacher=[member, "convnet-4-8-16"], student="resnet8")
        module = job.teacher.make(0)
        return job.teacher_identity(module), str(job.teacher_input_settings())

    (first, inputs), (second, others) = identity(8), identity(16)
    assert first == second, "the same weights"
    assert inputs != others
    job = prepared(tmp_path / "run", teacher=["convnet-4-8-16"] * 2)
    assert job.teacher_input_settings() == {}


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"members": ["resnet8"], "epochs": 3}, "give epochs to its members"),
        ({"members": ["resnet8"], "model": "resnet8"}, "go together"),
        ({"epochs": 3}, "name a model, or list the members"),
    ],
)
def test_an_ensemble_has_no_training_of_its_own(teacher: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_recipe({**BASE, "teacher": teacher})


def test_an_ensemble_has_no_classifier_to_share() -> None:
    student = {"model": "convnet-4-8", "head": "shared"}
    with pytest.raises(RecipeError, match="no classifier of its own"):
        make_recipe({**BASE, "teacher": ["resnet8", "resnet8"], "student": student})
