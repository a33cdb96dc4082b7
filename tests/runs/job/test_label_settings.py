"""Smoothed labels and classes that count differently, of a student, its control and its teacher."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from regression_task import Brightness, net
from regression_task import splits as lamps
from sklearn.utils.class_weight import compute_class_weight
from tiny import tiny_net

from stillhouse.data.load import Splits
from stillhouse.data.tables import ImageTable
from stillhouse.errors import RecipeError, StillhouseError
from stillhouse.recipes import make_recipe
from stillhouse.records.metric import ACCURACY
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.label_settings import class_weights, labels_told
from stillhouse.runs.run import Objects, prepare
from stillhouse.runs.training.training import control_training
from stillhouse.tasks import CLASSIFICATION, AdjustedClassification

NAMES = ("cat", "dog", "owl")
SKEWED = torch.tensor([0] * 12 + [1] * 6 + [2] * 3)


def toy(labels: torch.Tensor = SKEWED) -> Splits:
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (len(labels), 6, 6, 3), dtype=torch.uint8, generator=made)
    table = ImageTable(images, labels)
    return Splits("toy", table, table, table, NAMES, "toy")


def prepared(out: Path, **values: Any) -> Job:
    given = {"data": "toy", "student": "net", "teacher": {"model": "big"}, "method": "kd",
             "batch": 7, "precision": "fp32", **values}  # fmt: skip
    networks = {"student": lambda: tiny_net(4), "teacher": lambda: tiny_net(6)}
    objects = Objects(data=toy(), **{k: v for k, v in networks.items() if given[k]})
    return prepare(make_recipe(given), out, objects=objects)


WEIGHTS = (0.5, 1.0, 2.5)


@pytest.mark.parametrize(("smoothing", "weights"), [(0.1, ()), (0.0, WEIGHTS), (0.1, WEIGHTS)])
def test_the_labelled_term_is_that_of_torch(smoothing: float, weights: Any) -> None:
    task = AdjustedClassification(label_smoothing=smoothing, class_weights=weights)
    z, label = torch.randn(8, 3, requires_grad=True), torch.arange(8) % 3
    given = torch.tensor(weights) if weights else None
    wanted = F.cross_entropy(z, label, weight=given, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(task.loss(z, label), wanted)
    mean = F.cross_entropy(z, label, weight=given, label_smoothing=smoothing)
    if not weights:
        torch.testing.assert_close(task.loss(z, label).mean(), mean)
    assert task.rows(z, label)["loss"].equal(CLASSIFICATION.rows(z, label)["loss"])
    assert task.metric is ACCURACY
    assert task.mixes


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=SKEWED.numpy())
    assert class_weights("balanced", toy()) == pytest.approx(wanted.tolist())


@pytest.mark.parametrize(
    "given", [(1.0, 2.0, 4.0), {"dog": 2.0, "owl": 4.0}, {"owl": 8, "dog": 4, "cat": 2}]
)
def test_only_proportions_count_and_the_mean_over_rows_is_one(given: Any) -> None:
    found = class_weights(given, toy())
    assert found == pytest.approx([found[0], 2 * found[0], 4 * found[0]])
    assert torch.tensor(found)[SKEWED].mean().item() == pytest.approx(1.0)


def test_student_and_control_have_it_and_the_teacher_its_own(tmp_path: Path) -> None:
    plain = prepared(tmp_path / "a")
    asked = prepared(
        tmp_path / "b", label_smoothing=0.1, class_weights="balanced",
        teacher={"model": "big", "label_smoothing": 0.2},
    )  # fmt: skip
    assert plain.task is CLASSIFICATION
    assert asked.task.settings["label_smoothing"] == 0.1
    assert asked.task.settings["class_weights"] == pytest.approx([21 / 36, 21 / 18, 21 / 9])
    assert labels_told(asked.task, NAMES) == [
        "labels: smoothed by 0.1; classes count 0.583 (cat) to 2.33 (owl)"
    ]
    assert asked.teacher is not None
    assert asked.teacher.task.settings == {"label_smoothing": 0.2}
    student = prepared(tmp_path / "c", label_smoothing=0.1)
    assert student.teacher is not None
    assert student.teacher.task is CLASSIFICATION, "a teacher has none unless its section says so"
    teachers = [job.teacher.trained_on(job.data).identity() for job in (plain, student)]
    assert teachers[0] == teachers[1] == plain.data.identity(), "it is shared with other runs"
    marks = {job.out: control_training(job, 0).identity for job in (plain, student, asked)}
    assert len(set(marks.values())) == 3
    stage = student.control_stage(tiny_net(4))
    batch = student.data.train(0).sample(7)
    with stage.open(batch["batch.image"], batch["batch.label"]) as objective:
        out = objective(batch["batch.image"], batch["batch.label"])
    z = out.signals["student.logits"]
    wanted = F.cross_entropy(z, batch["batch.label"], label_smoothing=0.1)
    torch.testing.assert_close(out.terms["label"], wanted)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing.*1.0"),
        ({"label_smoothing": -0.1}, "label_smoothing.*-0.1"),
        ({"class_weights": "balance"}, "it is 'balance'; say balanced"),
        ({"class_weights": []}, "say balanced"),
        ({"class_weights": [1, 0, 1]}, "number 2 is 0; give numbers above 0"),
        ({"class_weights": {"owl": float("nan")}}, "'owl' is nan"),
        ({"class_weights": [1, 2]}, r"2 numbers for 3 classes \(cat, dog, owl"),
        ({"class_weights": {"owk": 2}}, "'owk' is no class of the data; nearest: owl"),
        ({"teacher": {"model": "big", "class_weights": [1]}}, "teacher.class_weights: 1 numbers"),
        ({"method": "label_smoothing", "teacher": None, "label_smoothing": 0.1},
         "method 'label_smoothing' has a loss of labels of its own"),
        ({"transfer": {"count": 10, "method": "real"}, "class_weights": "balanced"},
         "a transfer set has those that its teacher gives it"),
        ({"teacher": [{"model": "a"}, {"model": "b"}]} | {"label_smoothing": 2}, "label_smoothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence(values: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match=said):
        prepared(tmp_path / "run", **values)


def test_a_method_without_labels_leaves_it_to_the_control(tmp_path: Path) -> None:
    job = prepared(tmp_path / "run", method="simkd", label_smoothing=0.1)
    (said,) = [line for line in job.warned if "label_smoothing" in line]
    assert "learns without the labelled term; it is that of the control alone" in said


def test_classes_without_rows_and_tasks_without_classes(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="class 'owl' has no training rows"):
        class_weights("balanced", toy(torch.tensor([0, 1])))
    values = {"data": {"source": "x", "augment": "none"}, "student": "net", "method": "plain"}
    lamp = Objects(data=lamps(), student=net, task=Brightness())
    with pytest.raises(RecipeError, match="the task 'brightness' has a loss of its own"):
        prepare(make_recipe({**values, "label_smoothing": 0.1}), tmp_path / "a", objects=lamp)
    assert (
        json.dumps(make_recipe({**values, "class_weights": {0: 2}}).class_weights) == '{"0": 2.0}'
    )
