"""Mixing in a whole run: a cached teacher is the live one; what does not fit is a sentence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from regression_task import Brightness, net
from regression_task import splits as lamps
from safetensors.torch import load_file
from tiny import tiny_net

import stillhouse as sh
from stillhouse.data.load import Splits
from stillhouse.data.tables import ImageTable
from stillhouse.errors import DataError, RecipeError, StillhouseError, WiringError
from stillhouse.methods import kd
from stillhouse.recipes import make_recipe
from stillhouse.runs.run import Objects, prepare
from stillhouse.testing.method_trial import MethodTrial, Snapshot

BUDGET = {"epochs": 2, "batch": 22, "seeds": 1, "precision": "fp32"}
SHOWN = {"crop": 1, "fade": 0.5, "mixup": 0.8, "cutmix": 1.0}


def floats(image: torch.Tensor) -> torch.Tensor:
    return image.float() / 255


@pytest.fixture
def toy(table: ImageTable) -> Splits:
    """Ninety rows to train on, in batches that are no multiple of a vector's length."""
    few = table.take(torch.arange(20))
    rows = table.take(torch.arange(90) % 40)
    return Splits("toy", rows, few, few, ("a", "b", "c"), "toy")


def test_cached_equals_live_under_mixup_and_cutmix(toy: Splits, tmp_path: Path) -> None:
    found = []
    for use in ("always", "never"):
        sh.distill(
            data={"source": toy, "augment": SHOWN},
            teacher=tiny_net(8, 3),
            student=lambda: tiny_net(4, 1),
            method="kd",
            cache=use,
            out=tmp_path / use,
            control=False,
            **BUDGET,
        )
        found.append(load_file(tmp_path / use / "trainings/seed0/student.safetensors"))
    cached, live = found
    assert len(list((tmp_path / "shared").glob("teacher-cache-*"))) == 1
    assert all(torch.equal(cached[name], live[name]) for name in live)
    told = (tmp_path / "always/resolved.yaml").read_text()
    assert "mixup: 0.8" in told
    assert "cutmix: 1.0" in told


def test_a_resume_amid_an_epoch_changes_no_bit(tmp_path: Path) -> None:
    trial = MethodTrial(kd, {}, (4, 6), tmp_path)
    mixed = replace(trial.batches.augment, mixup=0.5, cutmix=1.0)
    trial.batches = replace(trial.batches, augment=mixed)
    assert not Snapshot.of(trial.first.student).changed(trial.resumed.student)


def prepared(out: Path, splits: Splits, objects: dict[str, Any], **values: Any) -> None:
    given = {"data": {"source": "toy", "augment": {"mixup": 1.0}}, "student": "net",
             "teacher": "big", "method": "kd", **BUDGET, **values}  # fmt: skip
    networks = {"student": lambda: tiny_net(4), "teacher": lambda: tiny_net(6)}
    prepare(make_recipe(given), out, objects=Objects(data=splits, **{**networks, **objects}))


@pytest.mark.parametrize(
    ("values", "objects", "error", "said"),
    [
        ({"method": "dkd"}, {}, WiringError, "term 'dkd'.*leave mixup and cutmix out of data.aug"),
        ({"data": {"source": "toy", "augment": {"mixup": -1}}}, {}, RecipeError, "mixup.*-1"),
        ({"data": {"source": "toy", "augment": {"cutmix": 101}}}, {}, RecipeError, "cutmix.*100"),
        (
            {"data": {"source": "toy", "augment": {"mixup": 1, "flip": True}}},
            {"transform": torch.sum, "eval_transform": torch.sum},
            RecipeError,
            r"takes the place of augment \(flip\)",
        ),
    ],
    ids=["method", "negative", "large", "transform"],
)
def test_what_does_not_go_with_mixing_is_a_sentence(
    values: dict[str, Any], objects: dict[str, Any], error: type[StillhouseError], said: str,
    toy: Splits, tmp_path: Path,
) -> None:  # fmt: skip
    with pytest.raises(error, match=said):
        prepared(tmp_path / "run", toy, objects, **values)


def test_a_teacher_is_checked_on_its_own_augmentation(toy: Splits, tmp_path: Path) -> None:
    taught = {"model": "resnet8", "method": "dkd", "teacher": "resnet8"}
    own = {"teacher": {**taught, "data": {"augment": "none"}}}
    prepared(tmp_path / "a", toy, {"teacher": None}, **own)
    with pytest.raises(WiringError, match="term 'dkd'"):
        prepared(tmp_path / "b", toy, {"teacher": None}, teacher=taught)
    shown = {"transform": floats, "eval_transform": floats}
    own = {"teacher": {"model": "big", "data": {"augment": ["flip"]}}}
    with pytest.raises(RecipeError, match=r"teacher.data.augment: a transform takes the place"):
        prepared(tmp_path / "c", toy, shown, **own)


def test_a_row_alone_and_labels_that_are_no_classes(toy: Splits, tmp_path: Path) -> None:
    alone = replace(toy, train=toy.train.take(torch.tensor([0])))
    with pytest.raises(RecipeError, match="mixup mix an image with another training row, and"):
        prepared(tmp_path / "a", alone, {}, batch=1)
    own = {"teacher": None, "student": net, "task": Brightness()}
    with pytest.raises((DataError, WiringError), match="task 'brightness' has a loss of one label"):
        prepared(tmp_path / "b", lamps(), own, method="plain", teacher=None)
