"""From a teacher of the digits to a student that has seen none of them: KD on impressions alone."""

from pathlib import Path

import torch
from torch import nn

from stillhouse.api import distill
from stillhouse.data import Augment, Batches, FloatTable, load
from stillhouse.data.tables import ImageTable
from stillhouse.engine.evaluate import evaluate
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import adamw
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings, opened
from stillhouse.methods import kd, plain
from stillhouse.models import build_model
from stillhouse.synthesis import Synthesis, synthesize

SCALE = Augment((0.0,), (1.0,))
ADAM = adamw(3e-3, weight_decay=0.0)


def digits() -> tuple[ImageTable, ImageTable]:
    splits = load("digits", validation=0)
    assert isinstance(splits.train, ImageTable)
    assert isinstance(splits.test, ImageTable)
    return splits.train, splits.test


def accuracy(stage, table: ImageTable, platform: Platform) -> float:
    served = Batches(table, SCALE, batch_size=64)
    with opened(stage, served, Settings(), platform) as objective:
        return evaluate(objective, served, platform)["student"]["accuracy"]


def teacher_and_impressions(platform: Platform, out: Path) -> tuple[nn.Module, Synthesis]:
    train, test = digits()
    torch.manual_seed(0)
    teacher = build_model("mlp-64", classes=10, channels=1, size=8)
    settings = Settings(epochs=15, optimizer=ADAM)
    fitted = fit(
        plain(teacher), Batches(train, SCALE, batch_size=64), settings=settings, platform=platform
    )
    teacher.load_state_dict(fitted.last["student"])
    made = synthesize(
        teacher, method={"name": "zero_shot", "steps": 150, "lr": 0.05, "tolerance": 0.01},
        count=600, image_shape=(1, 8, 8), out=out, device="cpu",
        test=Batches(test, SCALE),
    )  # fmt: skip
    return teacher, made


def test_a_student_of_impressions_has_learned_the_digits(
    platform: Platform, tmp_path: Path
) -> None:
    teacher, made = teacher_and_impressions(platform, tmp_path / "impressions")
    splits = load(made.directory, validation=0)
    assert isinstance(splits.train, FloatTable)
    assert len(splits.test) == 359
    assert accuracy(plain(teacher), splits.test, platform) > 0.9, "the test set is as it takes it"
    torch.manual_seed(1)
    student = build_model("mlp-32", classes=10, channels=1, size=8)
    stage = kd(student, teacher, temperature=20.0, weight=1.0, label_weight=0.0)
    shifted = Augment((0.0,), (1.0,), crop=1)
    served = Batches(splits.train, shifted, batch_size=64)
    fitted = fit(stage, served, settings=Settings(epochs=40, optimizer=ADAM), platform=platform)
    student.load_state_dict(fitted.last["student"])
    assert accuracy(plain(student), splits.test, platform) > 0.5, "chance is 0.1"


def test_a_recipe_takes_the_directory_as_its_data(platform: Platform, tmp_path: Path) -> None:
    teacher, made = teacher_and_impressions(platform, tmp_path / "impressions")
    outcome = distill(
        data={"source": str(made.directory), "validation": 0.2, "augment": {"crop": 1}},
        teacher=teacher, student="mlp-32", epochs=2, seeds=1, control=False,
        method={"name": "kd", "temperature": 20.0, "weight": 1.0, "label_weight": 0.0},
        out=tmp_path / "run",
    )  # fmt: skip
    assert outcome.scores["verdict"], "it ran to its end"
