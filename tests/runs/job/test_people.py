"""A run whose tables are of different people: what check, teacher, study and the product see."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from people import csv, folder, images

import stillhouse as sh
from stillhouse.errors import DataError, RecipeError, RunError, StillhouseError
from stillhouse.recipes import make_recipe
from stillhouse.recipes.data import TeacherDataSection
from stillhouse.runs.run import prepare
from stillhouse.studies.arms import SharedData

SMALL = {"student": "resnet8", "method": "plain", "control": False, "seeds": 1, "epochs": 1}
PAIRS = (
    "ann_0001,ann_0002,1,1",
    "ann_0001,bob_0001,0,1",
    "cy_0001,cy_0002,1,2",
    "bob_0001,cy_0001,0,2",
)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    faces = folder(tmp_path / "faces")
    csv(tmp_path / "p.csv", PAIRS)
    return faces


def data(people: Path, **more):
    return {"source": str(people), "augment": "none", "workers": 0, "validation": 2, **more}


def recipe(people: Path, task: str = "verification", **more):
    return make_recipe({**SMALL, "task": task, "data": data(people, **more)})


def test_tables_come_with_their_pairs_and_a_teacher_has_its_own_budget(
    people: Path, tmp_path: Path
):
    job = prepare(recipe(people, pairs=str(tmp_path / "p.csv"), limit=5, size=3), tmp_path / "run")
    assert job.data.classes == 4
    assert len(job.data.splits.train) == 5
    assert job.data.splits.train.images.shape[1:] == (3, 3, 1)  # resized, all of them
    assert job.data.splits.test.images.shape[1:] == (3, 3, 1)
    assert job.data.test.pairs is job.data.splits.pairs["test"]
    assert job.data.validation.pairs is job.data.splits.pairs["validation"]
    whole = job.data.of_teacher(TeacherDataSection(limit="all"))
    assert len(whole.splits.train) == job.data.splits.whole.labels.numel() > 5
    assert images(whole.splits.test) == images(job.data.splits.test)
    assert whole.splits.pairs == job.data.splits.pairs
    assert job.warned[0].startswith("4 pairs of folds 1, 2 (p.csv): 5 images of 3 people; 5 other")


def test_unseen_classes_beside_a_classification(people: Path, tmp_path: Path):
    asked = {"unseen": ["ann", "bob"], "min_per_class": 2, "test": 5, "validation": 0}
    job = prepare(recipe(people, "classification", **asked, size=3), tmp_path / "run")
    assert job.data.outputs == 5
    assert job.data.unseen is not None
    assert len(job.data.unseen.pairs) == 21
    (batch,) = job.data.unseen.once()
    assert batch["batch.image"].shape[1:] == (1, 3, 3)
    assert batch["batch.label"].tolist() == [5, 5, 5, 5, 6, 6, 6]
    off = prepare(
        recipe(people, "classification", min_per_class=2, test=5, validation=0), tmp_path / "r"
    )
    assert off.data.unseen is None


@pytest.mark.parametrize(
    ("task", "asked", "said"),
    [
        (
            "classification",
            {"pairs": "p.csv"},
            "pairs (data.pairs) are tested by task: verification",
        ),
        ("verification", {"folds": [1, 2]}, "folds [1, 2] are of a file of pairs"),
        ("verification", {"pairs": "q.csv"}, "there is no file of pairs"),
        ("verification", {"test": 0}, "leaves no images to test on"),
        ("verification", {"unseen": 8}, "unseen holds out 8 of 9 people"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(
    people, tmp_path, task, asked, said
):
    with pytest.raises(StillhouseError, match=re.escape(said)):
        prepare(recipe(people, task, **asked), tmp_path / "run")


def test_arms_share_tables_of_one_kind_of_split(people: Path):
    shared = SharedData()
    first = shared.of(recipe(people, unseen=3))
    assert shared.of(recipe(people, unseen=3, view_seed=1)).splits is first.splits
    held = shared.of(recipe(people, "classification", unseen=3, test=0, validation=0))
    assert first.splits.open_set
    assert not held.splits.open_set


def test_python_objects_as_data_and_pairs_by_row(tmp_path: Path):
    drawn = torch.Generator().manual_seed(0)
    samples = [(torch.rand(1, 8, 8, generator=drawn), row // 4) for row in range(32)]
    lines = ["0,1,1,1", "0,4,0,1", "4,5,1,2", "5,2,0,2"]
    path = csv(tmp_path / "p.csv", lines)

    def run():
        return sh.distill(
            data={"source": samples, "pairs": path, "validation": 2, "workers": 0},
            task="verification",
            student=lambda classes: torch.nn.Sequential(
                torch.nn.Flatten(), torch.nn.Linear(64, classes)
            ),
            method="plain",
            control=False,
            seeds=1,
            epochs=1,
            batch=4,
            out=tmp_path / "run",
        )

    outcome = run()
    assert any("5 images of 2 people; 3 other images" in each for each in outcome.warnings)
    written = yaml.safe_load((tmp_path / "run" / "resolved.yaml").read_text())
    assert written["data"]["pairs"] == str(path)
    before = (tmp_path / "run" / "scores.json").read_bytes()
    run()
    assert (tmp_path / "run" / "scores.json").read_bytes() == before
    csv(path, [*lines, "0,2,1,2"])
    with pytest.raises(RunError, match="data"):
        run()
    csv(path, ["0,40,1,1", *lines])
    with pytest.raises(DataError, match="line 2: '40' names no image of 'list'"):
        run()


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("accuracy", "data.validation: metric: accuracy is of pairs in two folds or more"),
        ("tar@0.01", "data.validation: metric: tar@0.01 needs 100 pairs of different people"),
    ],
)
def test_a_headline_that_the_pairs_cannot_show_is_refused_before_training(
    people: Path, tmp_path: Path, metric: str, message: str
) -> None:
    task = {"name": "verification", "metric": metric}
    wanted = make_recipe({**SMALL, "task": task, "data": data(people, test=2)})
    with pytest.raises(RecipeError, match=re.escape(message)):
        prepare(wanted, tmp_path / "run")


def test_accuracy_is_the_headline_of_pairs_in_folds_where_nobody_validates(people: Path) -> None:
    task = {"name": "verification", "metric": "accuracy"}
    pairs = str(people.parent / "p.csv")
    listed = {**data(people, pairs=pairs), "validation": 0}
    job = prepare(make_recipe({**SMALL, "task": task, "data": listed}), people.parent / "run")
    assert job.task.metric.name == "accuracy"


def test_an_ensemble_that_would_be_measured_by_an_embedding_is_refused(people: Path) -> None:
    teacher = [{"model": "resnet8"}, {"model": "resnet8", "seed": 1}]
    more = {
        "method": "kd",
        "teacher": teacher,
        "task": "verification",
        "data": data(people, test=2),
    }
    with pytest.raises(RecipeError, match="an ensemble of 2 has none of its own"):
        prepare(make_recipe({**SMALL, **more}), people.parent / "run")
