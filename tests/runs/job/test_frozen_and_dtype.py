"""What a section says does not learn, and in which precision a teacher computes."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.errors import ModelError, RunError, StillhouseError, WeightsError
from stillhouse.models import load_weights
from stillhouse.models.given import cast_to
from stillhouse.recipes import make_recipe
from stillhouse.recipes.networks import StudentSection, TeacherSection
from stillhouse.records.extra_state import described
from stillhouse.records.tensors import save_tensors
from stillhouse.runs.job.networks import Network
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.runs.preflight import networks_told
from stillhouse.runs.run import Objects, Outcome, prepare

OPTIONS = {"limit": 100, "augment": "none"}


class Net(nn.Module):
    """A convolution, two batch norms and a classifier of 10 digits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.bn = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.last, self.fc = nn.BatchNorm2d(4), nn.Linear(4, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits [B, 10]."""
        x = self.last(self.bn(self.conv(image)).relu())
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


class Stateful(Net):
    """Keeps more than tensors in its state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: object = None

    def get_extra_state(self) -> object:
        """Something of its own."""
        return self.kept

    def set_extra_state(self, state: object) -> None:
        """Take it back."""
        self.kept = state


class Listening(SilentWatcher):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        """Keep it."""
        self.said.append(line)


def test_what_is_named_keeps_its_bits_and_is_told(tmp_path: Path) -> None:
    net, teacher, watcher = Stateful(), Stateful(), Listening()
    net.kept = {"calls": (1, "two"), 3: torch.ones(2)}
    before = {name: value.clone() for name, value in Net().state_dict().items()}

    def run() -> Outcome:
        return sh.distill(
            data={"source": "digits", **OPTIONS}, student={"model": net, "frozen": ["conv", "b?"]},
            teacher={"model": teacher, "dtype": "bfloat16"},
            out=tmp_path / "run", epochs=1, seeds=1, watcher=watcher,
        )  # fmt: skip

    outcome = run()
    now = {name: outcome.student.state_dict()[name] for name in before}
    moved = {name.partition(".")[0] for name in now if not torch.equal(now[name], before[name])}
    assert moved == {"last", "fc"}
    told = [line for line in watcher.said if line.startswith("student: ")]
    assert told == ["student: 4 of 8 parameters frozen: conv, bn; 58 of 106 values learn"]
    resolved = yaml.safe_load((outcome.directory / "resolved.yaml").read_text())
    assert resolved["student"]["frozen"] == ["conv", "bn"]
    assert resolved["teacher"]["dtype"] == "bfloat16"
    again = run()  # found finished: its student is read from the file
    for student in (outcome.student, again.student):
        assert described(student.kept) == described(net.kept)
    assert all(torch.equal(again.student.state_dict()[name], now[name]) for name in now)
    net.kept = {"calls": (1, "three")}
    with pytest.raises(RunError, match="made with another student"):
        run()


def test_what_came_frozen_is_told_and_written_down(tmp_path: Path) -> None:
    net = Net()
    net.conv.requires_grad_(False)
    net.fc.bias.requires_grad_(False)
    net.bn.eval()
    recipe = make_recipe({
        "data": {"source": "digits", **OPTIONS}, "student": "Net", "method": "plain",
    })  # fmt: skip
    job = prepare(recipe, tmp_path / "run", objects=Objects(student=net))
    wanted = "student: 3 of 8 parameters frozen: conv, fc.bias; 56 of 106 values learn"
    assert networks_told(job) == [f"{wanted}; in eval mode: bn"]
    assert job.recipe.student.frozen == ("conv", "fc.bias")


def test_a_teacher_that_was_cast_answers_in_float32() -> None:
    section, image = TeacherSection(model="convnet-4-8", dtype="bfloat16"), torch.randn(2, 1, 8, 8)
    cast = Network(section, 10, 1, 8).make(0).eval()
    own = Network(TeacherSection(model="convnet-4-8"), 10, 1, 8).make(0).bfloat16().eval()
    assert {value.dtype for value in cast.parameters()} == {torch.bfloat16}
    assert cast(image).dtype == torch.float32
    assert torch.equal(cast(image), own(image.bfloat16()).float())


def test_what_is_frozen_is_part_of_the_identity() -> None:
    def identity(*frozen: str) -> dict[str, Any]:
        section = StudentSection(model="convnet-4-8", frozen=frozen)
        return Network(section, 10, 1, 8).identity(0)

    assert identity() != identity("classifier") != identity("features")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"student": {"model": "resnet8", "frozen": ["layer9"]}},
         r"frozen: student has no module or parameter 'layer9'; nearest: layer"),
        ({"student": {"model": "resnet8", "frozen": "*"}}, r"student: all .* are frozen"),
        ({"student": {"model": "resnet8", "quantise": "int8", "frozen": ["fc"]}},
         r"'fc' is frozen in eval mode, and .*keep: \[fc\]"),
        ({"student": "resnet8", "teacher": {"model": "resnet8", "dtype": "float16"}},
         r"teacher.*it is trained here, in the precision of the run; dtype"),
        ({"student": "resnet8", "teacher": {"model": Net(), "frozen": ["conv"]}},
         r"teacher.*comes trained, so frozen says nothing"),
        ({"student": "resnet8", "teacher": {"model": Net(), "dtype": "int8"}},
         r"teacher.dtype.*'float32', 'bfloat16' or 'float16'"),
    ],
    ids=["unknown", "all", "rounding", "trained here", "given", "no such type"],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(asked: dict[str, Any], said: str, tmp_path: Path) -> None:
    method = "kd" if "teacher" in asked else "plain"
    with pytest.raises(StillhouseError, match=said):
        sh.distill(data={"source": "digits", **OPTIONS}, method=method, out=tmp_path, **asked)


def test_a_trained_teacher_may_be_frozen_in_part_and_an_ensemble_gives_it_to_its_members() -> None:
    assert TeacherSection(model="resnet8", frozen="conv1").frozen == ("conv1",)
    with pytest.raises(ValueError, match="give frozen to its members"):
        TeacherSection(members=[{"model": "resnet8"}], frozen="conv1")


def test_a_weight_that_the_type_cannot_hold_is_named() -> None:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 1e6)
    with pytest.raises(ModelError, match=r"teacher: 1 values of 'weight' are beyond 65504"):
        cast_to(layer, torch.float16, who="teacher")


def test_a_state_that_no_checkpoint_gives_back_is_refused_by_its_role(tmp_path: Path) -> None:
    teacher = Stateful()
    teacher.kept = object()
    with pytest.raises(WeightsError, match=r"teacher: the state '_extra_state' cannot be kept: it"):
        sh.distill(data={"source": "digits", **OPTIONS}, student=Net, teacher=teacher, out=tmp_path)


def test_a_file_of_ours_gives_back_what_is_no_tensor(tmp_path: Path) -> None:
    net, other = Stateful(), Stateful()
    net.kept = {"calls": 7}
    save_tensors(tmp_path / "s.safetensors", net.state_dict(), {})
    load_weights(other, tmp_path / "s.safetensors")
    assert other.kept == {"calls": 7}
