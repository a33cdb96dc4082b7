"""Teachers that are given as objects are scored and listened to, never wired as what learns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.errors import WiringError
from stillhouse.models.given import copied
from stillhouse.recipes.networks import StudentSection, TeacherSection
from stillhouse.runs.job.networks import Network

IMAGE = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
OPTIONS = {"limit": 100, "augment": "none"}


class Net(nn.Module):
    """A classifier of 10 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits [B, 10]."""
        return self.fc(image.flatten(1))  # type: ignore[no-any-return]


class Several(Net):
    """Features beside the logits."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Both."""
        return image.flatten(1)[:, :10], self.fc(image.flatten(1))


class Faulty(Net):
    """Fails by itself."""

    def forward(self, image: Tensor) -> Tensor:
        """Nothing."""
        raise RuntimeError("a fault of its own")


@pytest.mark.parametrize("kind", ["scripted", "bfloat16", "frozen"])
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_given_teacher_only_teaches(kind: str, tmp_path: Path) -> None:
    made = {
        "scripted": lambda: torch.jit.script(Net()),
        "bfloat16": lambda: Net().bfloat16(),
        "frozen": lambda: Net().requires_grad_(False),
    }
    outcome = sh.distill(
        data={"source": "digits", **OPTIONS},
        student=Net,
        teacher=made[kind](),
        out=tmp_path,
        epochs=1,
        seeds=1,
    )
    assert outcome is not None


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("how", [torch.jit.script, lambda net: torch.jit.trace(net, IMAGE)])
def test_of_a_scripted_teacher_an_output_is_named_and_its_precision_chosen(how: Any) -> None:
    own = Several().eval()
    section = TeacherSection(model="Several", output=1, dtype="bfloat16")
    made = Network(section, 10, 1, 8, how(own)).make(0)
    wanted = own.bfloat16()(IMAGE.bfloat16())[1].float()
    for network in (made, copied(made)):
        torch.testing.assert_close(network(IMAGE)["logits"], wanted, rtol=0.02, atol=0.01)
        assert network(IMAGE)["logits"].dtype == torch.float32


def test_a_fault_of_the_teacher_names_the_teacher(tmp_path: Path) -> None:
    with pytest.raises(WiringError, match=r"node 'teacher' fails on .*: a fault of its own"):
        sh.distill(
            data={"source": "digits", **OPTIONS},
            student=Net,
            teacher=Faulty(),
            out=tmp_path,
            epochs=1,
            seeds=1,
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda z: z.argmax(1), r"scores logits \[B, classes\], but 'teacher.logits' is int64"),
        (lambda z: z.long(), r"scores logits of floats, but 'teacher.logits' is int64 \[4, 10\]"),
        (lambda z: z[:, :1], r"'teacher.logits' is \[4, 1\] and does not fit: the label of row"),
        (lambda z: z[..., None], r"scores logits \[B, classes\], but 'teacher.logits' is \[4, 10"),
        (lambda z: z / 0, r"is nan on the first batch: 'teacher.logits' holds nan or inf already"),
    ],
)
def test_outputs_that_are_no_logits_are_the_teachers_fault(
    change: Any, said: str, tmp_path: Path
) -> None:
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    teacher.register_forward_hook(lambda _module, _inputs, output: change(output))
    with pytest.raises(WiringError, match=said) as raised:
        sh.distill(
            data={"source": "digits", **OPTIONS},
            student=Net,
            teacher=teacher,
            out=tmp_path,
            epochs=1,
            seeds=1,
        )
    assert len(raised.value.problems) == 1
    assert "student" not in str(raised.value)


def test_a_student_with_frozen_parts_has_a_fingerprint_of_its_own() -> None:
    def identity(module: nn.Module) -> dict[str, object]:
        section = StudentSection(model="Net")
        return Network(section, 10, 1, 8, module).identity(0)

    net = nn.Sequential(nn.BatchNorm2d(1), Net())
    free = identity(net)
    net[0].eval()
    held = identity(net)
    net[0].requires_grad_(False)
    frozen = identity(net)
    assert free["start"] == held["start"] == frozen["start"]
    assert (held["in eval mode"], held["frozen"]) == (["0"], [])
    assert frozen["frozen"] == ["0.weight", "0.bias"]
    assert "frozen" not in free
