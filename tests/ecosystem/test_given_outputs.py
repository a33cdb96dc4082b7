"""Networks of torchvision and transformers as they are, whose forward gives more than logits."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
import transformers
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import stillhouse as sh
from stillhouse.methods import kd
from stillhouse.recipes.networks import StudentSection, TeacherSection
from stillhouse.runs.job.networks import Network

pytestmark = pytest.mark.ecosystem

CLASSES = 3


def inception() -> nn.Module:
    """Gives a named tuple (logits, aux_logits) in train mode, a tensor in eval mode."""
    return torchvision.models.inception_v3(
        weights=None, num_classes=CLASSES, init_weights=False, aux_logits=True
    )


def googlenet() -> nn.Module:
    """Gives (logits, aux_logits2, aux_logits1) in train mode, a tensor in eval mode."""
    return torchvision.models.googlenet(
        weights=None, num_classes=CLASSES, init_weights=False, aux_logits=True
    )


def huggingface() -> nn.Module:
    """Gives a ModelOutput in both modes."""
    config = transformers.ViTConfig(
        num_labels=CLASSES, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, image_size=32, patch_size=8,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config)


def logits_of(output: Any) -> Tensor:
    """By the names that the packages give."""
    found: Tensor = output if isinstance(output, Tensor) else output.logits
    return found


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "inception_v3": (inception, 299),
    "googlenet": (googlenet, 64),
    "vit of transformers": (huggingface, 32),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_its_logits_are_what_its_package_calls_so_as_teacher_and_student(name: str) -> None:
    make, side = NETWORKS[name]
    torch.manual_seed(0)
    given = make()
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    teacher = Network(TeacherSection(model=name), CLASSES, 3, side, given).make(0)
    student = Network(StudentSection(model=name), CLASSES, 3, side, given).make(0)
    with torch.no_grad():
        wanted = logits_of(given.eval()(images))
    labels = torch.arange(2)
    stage = kd(student, teacher)
    with stage.open(images, labels, seed=0) as objective:
        signals = objective(images, labels).signals
    torch.testing.assert_close(signals["teacher.logits"], wanted)
    assert signals["student.logits"].shape == (2, CLASSES)
    before = {key: value.clone() for key, value in student.state_dict().items()}
    fitted = sh.fit(stage, TensorDataset(images, labels), epochs=1, batch_size=2)
    moved = {key for key, value in fitted.last["student"].items() if not value.equal(before[key])}
    assert any("weight" in key for key in moved)
    assert set(fitted.last["student"]) == set(given.state_dict())
