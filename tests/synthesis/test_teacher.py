"""Clear errors before anything is made, and a teacher that is left as it was."""

from pathlib import Path

import pytest
import torch
from tiny import GREY as SHAPE
from tiny import grey_net as small_net
from torch import nn

from stillhouse.errors import DataError, ModelError, RecipeError, RunError, WiringError
from stillhouse.synthesis import synthesize


class Doubled(nn.Module):
    """Its last Linear is not what gives the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small_net()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.net(image) * 2


TEACHERS = {
    "probabilities": (nn.Sequential(small_net(), nn.Softmax(1)), "gives probabilities"),
    "no head": (nn.Sequential(nn.Conv2d(1, 4, 6), nn.Flatten()), "no Linear inside"),
    "another head": (Doubled(), "does not give its logits"),
    "other shape": (nn.Sequential(nn.Flatten(), nn.Linear(49, 4)), r"fails on images \[1, 6, 6\]"),
    "maps": (nn.Conv2d(1, 4, 3), r"a tensor \[4, 4, 4, 4\]"),
    "one class": (nn.Sequential(nn.Flatten(), nn.Linear(36, 1)), r"a tensor \[4, 1\]"),
    "nan": (nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.Threshold(9e9, float("nan"))), "nan"),
}


@pytest.mark.parametrize("kind", TEACHERS)
def test_a_teacher_that_cannot_be_used_is_refused_before_anything(
    kind: str, tmp_path: Path
) -> None:
    teacher, said = TEACHERS[kind]
    with pytest.raises(ModelError, match=said):
        synthesize(teacher, count=2, image_shape=SHAPE, out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_method_that_needs_batch_norm_says_so(net: nn.Module, tmp_path: Path) -> None:
    for method in ("deep_inversion", {"name": "adi", "student": small_net(seed=1)}):
        with pytest.raises(ModelError, match="no batch norm with running statistics"):
            synthesize(net, method=method, count=2, image_shape=SHAPE, out=tmp_path, device="cpu")


def test_logarithms_of_probabilities_are_logits(net: nn.Module, tmp_path: Path) -> None:
    teacher = nn.Sequential(net, nn.LogSoftmax(1))
    synthesize(teacher, method={"name": "class_impressions", "steps": 2}, count=2,
               image_shape=SHAPE, out=tmp_path, device="cpu")  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"method": "zeroshot"}, RecipeError, "no method 'zeroshot'; nearest: zero_shot"),
        ({"method": {"name": "zero_shot", "step": 3}}, RecipeError, "no setting 'step'"),
        ({"method": {"name": "zero_shot", "lr": -1.0}}, RecipeError, "lr is -1.0"),
        ({"method": "unrelated"}, RecipeError, "'source' is needed"),
        ({"count": 0}, RecipeError, "give 1 or more"),
        ({"image_shape": (6, 6)}, WiringError, "channels, height, width"),
        ({"mean": (0.1, 0.2)}, WiringError, "mean has 2 numbers"),
        ({"std": (0.0,)}, WiringError, "above 0"),
        ({"classes": ["a"]}, RecipeError, "1 class names for 4 logits"),
        ({"test": (torch.zeros(2, 1, 5, 5), torch.zeros(2))}, DataError, "the test images"),
        ({"test": (torch.zeros(2, *SHAPE), torch.tensor([0, 9]))}, DataError, "not all in 0..3"),
    ],
)
def test_what_is_asked_wrongly_is_said(
    net: nn.Module, tmp_path: Path, changed: dict, error: type[Exception], said: str
) -> None:
    asked = {"count": 4, "image_shape": SHAPE, "out": tmp_path / "out", "device": "cpu", **changed}
    with pytest.raises(error, match=said):
        synthesize(net, **asked)
    assert not (tmp_path / "out").exists()


def test_a_directory_with_other_files_is_refused(net: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"other files \(thesis.txt\)"):
        synthesize(net, count=2, image_shape=SHAPE, out=tmp_path, device="cpu")
    with pytest.raises(RunError, match="is a file"):
        synthesize(net, count=2, image_shape=SHAPE, out=tmp_path / "thesis.txt", device="cpu")


def test_the_teacher_is_left_as_it_was(norm_net: nn.Module, tmp_path: Path) -> None:
    norm_net.train()
    before = {name: value.clone() for name, value in norm_net.state_dict().items()}
    method = {"name": "deep_inversion", "steps": 3}
    synthesize(norm_net, method=method, count=4, image_shape=SHAPE, out=tmp_path, device="cpu")
    assert norm_net.training
    assert all(p.requires_grad and p.grad is None for p in norm_net.parameters())
    assert all(not part._forward_hooks for part in norm_net.modules())
    after = norm_net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "running statistics too"
