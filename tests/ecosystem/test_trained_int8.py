"""Students that were trained in eight bits, as ONNX of integers: their rounding on real kernels."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.deploy.int8_grids import compared_codes
from stillhouse.deploy.int8_onnx import write_int8
from stillhouse.deploy.onnx import answers_of, session_of, write_onnx
from stillhouse.deploy.preprocessing import Inside
from stillhouse.deploy.ready import Ready, embedder
from stillhouse.deploy.trained_grids import TRANSLATED, with_grids
from stillhouse.models import build_model
from stillhouse.students.quantised import converted, quantised

pytestmark = [pytest.mark.ecosystem, pytest.mark.programs]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    sh.distill(
        data={"source": "digits", "limit": 400},
        student={"model": "resnet8", "quantise": "int8"},
        teacher="resnet8",
        out=out,
        epochs=4,
        seeds=1,
        batch=32,
        precision="fp32",
    )
    return out


def exported(run: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["export", str(run), "--allow-program", *options])
    assert done.exit_code == 0, done.output + str(done.exception)
    return done.stdout


def test_a_run_is_exported_with_its_own_rounding_and_checked_again(
    finished: Path, tmp_path: Path
) -> None:
    for target, kind in (("x86", 2), ("vnni", 3)):  # numbers of uint8 and int8
        file = tmp_path / f"{target}.onnx"
        said = exported(finished, "--int8", "--target", target, "-o", str(file))
        assert "9 QLinearConv, 1 QGemm; float: none" in said
        assert "codes of weights: 77,072 of 77,072 as trained" in said
        assert "in the rounding it was trained with" in said
        assert "right on 64 test rows: student " in said
        weights = [each for each in onnx.load(str(file)).graph.initializer
                   if each.name.endswith("_rounded_quantized")]  # fmt: skip
        assert {each.data_type for each in weights} == {kind}
        assert "rows with the same answer" in exported(
            finished, "--int8", "--check", "-o", str(file)
        )
    refused = CliRunner().invoke(
        app, ["export", str(finished), "--allow-program", "--check", "-o", str(tmp_path / "no")]
    )
    assert "compares what is there" in str(refused.exception)
    # The file of integers is not within what float may differ.
    refused = CliRunner().invoke(
        app, ["export", str(finished), "--allow-program", "--check", "-o", str(file)]
    )
    assert "answers something else" in str(refused.exception)


def test_torchscript_answers_as_the_student(finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.torchscript"
    said = exported(finished, "--to", "torchscript", "-o", str(file))
    assert "67 of 67 rows with the same answer" in said
    assert "67 of 67" in exported(finished, "--to", "torchscript", "--check", "-o", str(file))
    (tmp_path / "b").write_bytes(b"no program")
    refused = CliRunner().invoke(
        app, ["export", str(finished), "--allow-program", "--to", "torchscript", "--check",
              "-o", str(tmp_path / "b")],
    )  # fmt: skip
    assert "no TorchScript file" in str(refused.exception)


class Joined(nn.Module):
    """Depthwise, 1x1 with stride, concatenation, pooling, a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.left = nn.Conv2d(8, 8, 1, stride=2)
        self.right = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.last = nn.Conv2d(16, 8, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        x = torch.relu(self.depthwise(x) + x)
        x = torch.cat([self.left(x), self.right(x)], 1)
        y: Tensor = self.head(self.last(x).mean((2, 3)))
        return y


def drawn(rows: int) -> Tensor:
    return torch.randn(rows, 3, 16, 16, generator=torch.Generator().manual_seed(rows))


def kernels_in(path: Path, tmp_path: Path) -> set[str]:
    session_of(path, optimised=tmp_path / "optimised.onnx")
    return {node.op_type for node in onnx.load(str(tmp_path / "optimised.onnx")).graph.node}


def test_sums_concatenations_and_pooling_become_integers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rounding = quantised(Joined(), drawn(2)).train()
    for _ in range(3):
        rounding(drawn(64))
    rounding.eval()
    program = with_grids(torch.export.export(
        rounding, (drawn(2),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    ).module())  # fmt: skip
    rows = drawn(32)
    reference = converted(rounding)(rows)
    with torch.no_grad():
        assert torch.allclose(program(rows), reference, atol=0.05 * float(reference.abs().max()))
    write_onnx(program, rows, tmp_path / "a.onnx", output="logits", translated=TRANSLATED)
    kernels = write_int8(tmp_path / "a.onnx", drawn(64), tmp_path / "b.onnx", target="x86")
    assert not kernels.floating
    found = kernels_in(tmp_path / "b.onnx", tmp_path)
    assert {"QLinearAdd", "QLinearConcat", "QLinearGlobalAveragePool"} <= found
    codes = compared_codes(program, tmp_path / "b.onnx", rows)
    assert codes.weights == codes.of_weights > 0
    assert codes.grids >= codes.layers - 1  # two layers read the same
    assert codes.inputs > 0.7 * codes.of_inputs
    gap = (answers_of(tmp_path / "b.onnx", rows) - reference).abs().max()
    assert gap < 0.1 * reference.abs().max()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(str(tmp_path / "b.onnx"), options)
    (exact,) = plain.run(None, {plain.get_inputs()[0].name: rows.numpy()})
    assert (answers_of(tmp_path / "b.onnx", rows) - torch.from_numpy(exact)).abs().max() < 0.05


def test_an_embedding_of_length_one_becomes_integers(tmp_path: Path) -> None:
    """What verification hands over; the norm at its end stays float, its layers do not."""
    torch.manual_seed(0)
    network = embedder(build_model("convnet-8-16-e32", classes=4, channels=3, size=16).eval())
    ready = Ready(network, Inside(mean=(0.5,) * 3, std=(0.25,) * 3), unit=True).eval()
    rows = torch.randint(0, 256, (16, 3, 16, 16), dtype=torch.uint8)
    plain, file = tmp_path / "plain.onnx", tmp_path / "int8.onnx"
    write_onnx(ready, rows[:2], plain, output="embedding")
    kernels = write_int8(plain, rows, file, target="x86")
    assert kernels.integer
    assert not kernels.floating
    found, wanted = answers_of(file, rows), ready(rows).detach()
    assert found.norm(dim=1).allclose(torch.ones(16), atol=1e-5)
    assert (found * wanted).sum(1).min() > 0.98
