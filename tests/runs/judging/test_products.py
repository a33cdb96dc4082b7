"""Products of a run: each file alone answers as the inference that was measured."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_net
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.deploy.program import ExportError, export
from stillhouse.models.outputs import NamedOutputs
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.runs.judging.products import is_one_of

pytestmark = pytest.mark.programs

MEASURED = ("teacher head", "mixture")


class Said(SilentWatcher):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def rows(count: int) -> list[tuple[np.ndarray, int]]:
    made = np.random.default_rng(count)
    return [
        ((made.integers(0, 150, (8, 8, 3)) + 30 * (i % 3)).astype(np.uint8), i % 3)
        for i in range(count)
    ]


def prepared(image: np.ndarray) -> Tensor:
    return torch.as_tensor(image).float().permute(2, 0, 1) / 128 - 1


def distil(out: Path, width: int, student=lambda: tiny_net(4, 1), **settings):
    said = Said()
    given = {"alpha": 0.4, "form": "paper", **settings}
    outcome = sh.distill(
        data={"source": (rows(60), rows(40)), "transform": prepared, "eval_transform": prepared},
        teacher=tiny_net(width, 3),
        student=student,
        out=out,
        method={"name": "th_kd", **given},
        epochs=3,
        batch=16,
        seeds=1,
        precision="fp32",
        control=False,
        watcher=said,
    )
    return outcome, said


def held_out() -> tuple[Tensor, Tensor]:
    images, labels = zip(*rows(40), strict=True)
    return torch.stack([prepared(image) for image in images]), torch.tensor(labels)


def loaded(path: Path) -> nn.Module:
    if path.suffix == ".pt2":
        return torch.export.load(path).module()
    bare = tiny_net(4, 7)
    bare.load_state_dict(load_file(path), strict=True)
    return bare.eval()


@pytest.mark.parametrize("width", [4, 6])
def test_each_file_answers_as_the_inference_that_was_measured(width: int, tmp_path: Path) -> None:
    """The tiny net has batch norm; at width 6 the bridge is folded into the head."""
    outcome, said = distil(tmp_path / "run", width)
    listed = json.loads((tmp_path / "run" / "products.json").read_text())["products"]
    assert [one["file"] for one in listed] == [
        "student.safetensors", "student-teacher-head.safetensors", "student-mixture.pt2",
        "student-best.safetensors", "student-teacher-head-best.safetensors",
        "student-mixture-best.pt2",
    ]  # fmt: skip
    assert said.warnings == [w for w in said.warnings if "hardly better than guessing" in w]
    image, label = held_out()
    run = outcome.scores["models"][1]["runs"][0]
    for at, which in enumerate(("last", "best")):
        own, other, mixed = (loaded(tmp_path / "run" / o["file"]) for o in listed[3 * at :][:3])
        with torch.no_grad():
            z = own.relu(own.bn(own.conv(image))).mean((2, 3))
            mine, theirs, both = own(image), other(image), mixed(image)
        for name, answer in (("teacher head", theirs), ("mixture", both)):
            share = (answer.argmax(1) == label).float().mean().item()
            assert share == pytest.approx(run["heads"][name][which])
        assert (mine.argmax(1) == label).float().mean().item() == pytest.approx(run["test"][which])
        through = z @ by_hand(tmp_path / "run", width, which)[0].T
        through = through + by_hand(tmp_path / "run", width, which)[1]
        torch.testing.assert_close(theirs, through, rtol=1e-4, atol=1e-5)
        wanted = 0.6 * mine.softmax(1) + 0.4 * through.softmax(1)
        torch.testing.assert_close(both.exp(), wanted, rtol=1e-4, atol=1e-6)
        assert mixed(image[:1]).shape == (1, 3), "a batch of one"


def by_hand(run: Path, width: int, which: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of the teacher's head on the student's embedding."""
    head = tiny_net(width, 3).fc
    if width == 4:
        return head.weight.detach(), head.bias.detach()
    name = "others.safetensors" if which == "last" else "others-best.safetensors"
    bridge = load_file(run / "trainings" / "seed0" / name)
    weight, bias = bridge["matched/weight"], bridge["matched/bias"]
    return (head.weight @ weight).detach(), (head.weight @ bias + head.bias).detach()


def test_the_program_needs_torch_alone_and_names_no_file_of_this_machine(tmp_path: Path) -> None:
    distil(tmp_path / "run", 6)
    file = tmp_path / "run" / "student-mixture.pt2"
    image, _ = held_out()
    torch.save(image, tmp_path / "image.pt")
    script = (
        "import sys; sys.modules['stillhouse'] = None; import torch; "
        f"image = torch.load({str(tmp_path / 'image.pt')!r}); "
        f"made = torch.export.load({str(file)!r}).module()(image); "
        f"torch.save(made.detach(), {str(tmp_path / 'made.pt')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    made = torch.load(tmp_path / "made.pt")
    torch.testing.assert_close(made, loaded(file)(image).detach())
    with zipfile.ZipFile(file) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert str(Path(sh.__file__).parent).encode() not in content
    assert str(Path(__file__).parent).encode() not in content


class Moody(nn.Module):
    """It branches on what it sees, which no trace can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.net = tiny_net(4, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image) if image.sum() > -1e9 else self.net(-image)


def test_what_cannot_be_traced_is_left_out_with_a_warning(tmp_path: Path) -> None:
    stale = tmp_path / "run"
    _, said = distil(stale, 4, student=Moody)
    files = [o["file"] for o in json.loads((stale / "products.json").read_text())["products"]]
    assert files == [
        "student.safetensors", "student-teacher-head.safetensors",
        "student-best.safetensors", "student-teacher-head-best.safetensors",
    ]  # fmt: skip
    assert not list(stale.glob("*.pt2"))
    left_out = [text for text in said.warnings if "is left out: torch.export cannot" in text]
    assert [text.split()[0] for text in left_out] == [
        "student-mixture.pt2", "student-mixture-best.pt2", "model.pt2"
    ]  # fmt: skip


def test_equal_names_are_not_an_equal_head(tmp_path: Path) -> None:
    """A teacher's head that normalises has weight and bias too, and computes something else."""

    class Normed(nn.Linear):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(nn.functional.normalize(z))

    def teacher() -> nn.Module:
        net = tiny_net(4, 3)
        net.fc = Normed(4, 3)
        return net

    sh.distill(
        data=(rows(60), rows(40)), teacher=teacher(), student=lambda: tiny_net(4, 1),
        out=tmp_path / "run", method={"name": "th_kd"}, epochs=1, batch=16, seeds=1,
        precision="fp32", control=False,
    )  # fmt: skip
    assert (tmp_path / "run" / "student-teacher-head.pt2").is_file()
    assert not (tmp_path / "run" / "student-teacher-head.safetensors").exists()


def test_a_method_without_other_inferences_leaves_the_student_alone(tmp_path: Path) -> None:
    sh.distill(
        data=(rows(60), rows(40)), teacher=tiny_net(4, 3), student=lambda: tiny_net(4, 1),
        out=tmp_path / "run", method="kd", epochs=1, batch=16, seeds=1, control=False,
    )  # fmt: skip
    listed = json.loads((tmp_path / "run" / "products.json").read_text())["products"]
    assert [one["file"] for one in listed] == ["student.safetensors", "student-best.safetensors"]
    assert 'load_file("student.safetensors")' in listed[0]["what"]


def test_a_program_that_knows_the_size_of_its_batch_is_refused() -> None:
    class Fixed(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.flatten(1)[:, :3] + torch.ones(len(image.tolist()), 1)

    with pytest.raises(ExportError, match="cannot trace Fixed: "):
        export(Fixed(), torch.ones(4, 3, 2, 2))


class Outputs(nn.Module):
    """Features and logits, of which a run makes outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.register_forward_hook(NamedOutputs(1, 2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        return x, self.fc(x)


def test_a_network_of_several_outputs_is_compared_and_exported_by_its_logits() -> None:
    net, twin, image = Outputs().eval(), Outputs().eval(), torch.randn(4, 3)
    assert is_one_of(twin, net, {"x": image})
    assert not is_one_of(nn.Linear(3, 2), net, {"x": image})
    program = torch.export.load(io.BytesIO(export(net, image))).module()
    assert torch.equal(program(image), net.fc(image))
