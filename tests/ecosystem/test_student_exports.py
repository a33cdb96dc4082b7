"""A student as ONNX and as int8 ONNX in onnxruntime, and its folder read by timm."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from PIL import Image
from typer.testing import CliRunner

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.data.load import load

pytestmark = [pytest.mark.ecosystem, pytest.mark.programs]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "run"
    sh.distill(
        data={"source": "digits", "limit": 400},
        student="resnet8",
        teacher="resnet8",
        out=out,
        epochs=4,
        seeds=1,
        batch=32,
        precision="fp32",
    )
    return out


def exported(run: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["export", str(run), *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def accuracy(file: Path) -> float:
    """On all test digits, by onnxruntime alone."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    test = load("digits").test
    (logits,) = session.run(None, {"pixels": test.images.permute(0, 3, 1, 2).numpy()})
    return float((torch.from_numpy(logits).argmax(1) == test.labels).float().mean())


def test_onnx_answers_as_the_student_and_int8_runs_on_integers(
    finished: Path, tmp_path: Path
) -> None:
    said = exported(finished, "--to", "onnx", "-o", str(tmp_path / "a.onnx"))
    assert "67 of 67 rows with the same answer" in said
    told = exported(finished, "--to", "onnx", "--int8", "-o", str(tmp_path / "b.onnx"))
    assert "9 QLinearConv, 1 QGemm; float: none" in told
    weights = onnx.load(str(tmp_path / "b.onnx")).graph.initializer
    integers = [onnx.numpy_helper.to_array(each) for each in weights if each.data_type == 3]
    assert max(int(np.abs(each.astype(int)).max()) for each in integers) <= 64  # of 7 bits
    assert (tmp_path / "b.onnx").stat().st_size < 0.4 * (tmp_path / "a.onnx").stat().st_size
    test = load("digits").test
    student = [each.label for each in sh.load(finished).predict(list(test.images.numpy()))]
    right = np.mean([one == str(int(two)) for one, two in zip(student, test.labels, strict=True)])
    assert accuracy(tmp_path / "a.onnx") == pytest.approx(right, abs=1e-6)
    assert accuracy(tmp_path / "b.onnx") == pytest.approx(right, abs=0.02)


def test_nothing_is_overwritten_and_a_folder_alone_has_no_rows_for_int8(
    finished: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there.onnx"
    there.write_text("mine")
    refused = CliRunner().invoke(app, ["export", str(finished), "-o", str(there)])
    assert refused.exit_code != 0
    assert "is there already" in str(refused.exception)
    assert there.read_text() == "mine"
    exported(finished, "--to", "hub", "-o", str(tmp_path / "hub"))
    said = exported(tmp_path / "hub", "-o", str(tmp_path / "c.onnx"))
    assert "drawn images" in said
    refused = CliRunner().invoke(app, ["export", str(tmp_path / "hub"), "--int8"])
    assert "needs training rows" in str(refused.exception)


def test_every_runtime_is_measured_with_the_same_answers(finished: Path, tmp_path: Path) -> None:
    found = sh.bench(finished, runtimes=("torch", "onnx", "onnx-int8"), seconds=0.05)
    assert [each.why for each in found.runtimes] == [None] * 3
    mine, plain, int8 = found.runtimes
    assert plain.parity.holds
    assert plain.parity.agree == plain.parity.rows
    assert int8.parity.agree >= 0.9 * int8.parity.rows
    assert int8.file_bytes < 0.4 * plain.file_bytes
    assert all(each.memory.peak > each.memory.imported > 0 for each in found.runtimes)
    assert plain.memory.peak < mine.memory.peak / 2, "without torch"
    assert not list(finished.glob("*.onnx")), "what was exported for it is gone"
    try:
        exported(finished, "--to", "onnx")
        (again,) = sh.bench(finished, runtimes=["onnx"], seconds=0).runtimes
        assert again.file_bytes == (finished / "student.onnx").stat().st_size
        (finished / "student.onnx").write_bytes(b"no model")
        (broken,) = sh.bench(finished, runtimes=["onnx"], seconds=0).runtimes
        assert broken.why.startswith("it does not run here (")
    finally:
        (finished / "student.onnx").unlink(missing_ok=True)


def test_a_compiled_student_answers_as_it_does(finished: Path, monkeypatch) -> None:
    monkeypatch.setattr("stillhouse.deploy.bench.peak_memory", lambda *_, **__: None)
    (found,) = sh.bench(finished, runtimes=["compiled"], batches=[67], seconds=0).runtimes
    assert found.why is None
    assert found.parity.holds


def test_a_student_of_shared_weights_is_written_with_the_weights_themselves(tmp_path: Path) -> None:
    out = tmp_path / "run"
    sh.distill(
        data={"source": "digits", "limit": 200},
        student={"derive": "shared", "bits": 2},
        teacher="convnet-8-16",
        out=out,
        epochs=2,
        seeds=1,
        batch=32,
        precision="fp32",
        control=False,
    )
    said = exported(out, "--to", "onnx", "-o", str(tmp_path / "a.onnx"))
    assert "67 of 67 rows with the same answer" in said
    model = onnx.load(str(tmp_path / "a.onnx"))
    assert "GatherElements" not in {node.op_type for node in model.graph.node}
    exported(out, "--to", "onnx", "--int8", "-o", str(tmp_path / "b.onnx"))
    student = sh.load(out)
    test = load("digits").test
    wanted = student.outputs(test.images.permute(0, 3, 1, 2)).argmax(1)
    assert accuracy(tmp_path / "b.onnx") == pytest.approx(
        float((wanted == test.labels).float().mean()), abs=0.02
    )


def test_the_folder_of_a_timm_student_is_read_by_timm(tmp_path: Path) -> None:
    out = tmp_path / "run"
    sh.distill(
        data={"source": "digits", "limit": 100, "size": 32},
        student="timm:test_resnet",
        teacher="resnet8",
        out=out,
        epochs=1,
        seeds=1,
        precision="fp32",
    )
    network = timm.create_model(f"local-dir:{out / 'student'}", pretrained=True).eval()
    cfg = timm.data.resolve_data_config(model=network)
    assert network.pretrained_cfg["label_names"] == [str(digit) for digit in range(10)]
    digit = load("digits").test.images[0][..., 0].numpy()
    image = Image.fromarray(np.kron(digit, np.ones((4, 4), np.uint8)))
    mean, std = (torch.tensor(cfg[key]).view(-1, 1, 1) for key in ("mean", "std"))
    prepared = (torch.tensor(np.asarray(image))[None] / 255 - mean) / std
    (mine,) = sh.load(out).predict(image)
    with torch.no_grad():
        assert torch.allclose(network(prepared[None])[0], mine.output, atol=1e-4)
