"""What a run leaves of its student: a folder that answers as the student did, without us."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.data.load import load
from stillhouse.deploy.config import PROGRAM, StudentConfig
from stillhouse.errors import DataError, ModelError, RunError
from stillhouse.records.exports import ExportList

pytestmark = pytest.mark.programs

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("stillhouse", "safetensors", "accelerate"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script where torch and Pillow are there and we are not."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("deploy") / "run"
    sh.distill(
        data={"source": "digits", "limit": 200},
        student="convnet-8-16",
        teacher="convnet-8-16",
        out=out,
        epochs=4,
        seeds=1,
        batch=16,
        precision="fp32",
    )
    return out


def test_the_predictor_has_the_accuracy_of_the_table(finished: Path) -> None:
    test = load("digits", limit=200).test
    student = sh.load(finished)
    said = student.predict([image.numpy() for image in test.images])
    right = [each.label == test_class for each, test_class in
             zip(said, (student.classes[label] for label in test.labels), strict=True)]  # fmt: skip
    scores = json.loads((finished / "scores.json").read_text())
    (model,) = [each for each in scores["models"] if each["role"] == "student"]
    assert np.mean(right) == pytest.approx(model["runs"][0]["test"]["last"], abs=1e-6)
    assert said[0].probability == pytest.approx(said[0].output.softmax(0).max().item())
    logits = student.model(torch.zeros(1, 1, 8, 8))
    assert logits.shape == (1, 10)


def test_the_script_says_the_same_with_torch_and_pillow_alone(
    finished: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "taken-home"
    shutil.copytree(finished / "student", alone)
    digit = load("digits").test.images[3].numpy()
    Image.fromarray(np.kron(digit[..., 0], np.ones((3, 5), np.uint8))).save(tmp_path / "a.png")
    Image.fromarray(np.repeat(digit, 3, 2)).save(tmp_path / "b.png")
    names = [str(tmp_path / name) for name in ("a.png", "b.png")]
    ran = subprocess.run(
        [sys.executable, "-I", "-c", BLOCKED, str(alone / "predict.py"), *names],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    wanted = sh.load(alone).predict(names)
    assert [line[1] for line in lines] == [each.label for each in wanted]
    assert [float(line[2]) for line in lines] == pytest.approx(
        [each.probability for each in wanted], abs=1e-4
    )


def test_the_program_takes_bytes_and_floats_in_batches_of_any_size(finished: Path) -> None:
    program = torch.export.load(finished / "student" / PROGRAM).module()
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(program(pixels), program(pixels.float()))
    assert torch.allclose(program(pixels[:1]), sh.load(finished).outputs(pixels[:1]), atol=1e-5)


def test_config_says_what_others_need(finished: Path) -> None:
    folder = finished / "student"
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"]["3"] == "3"
    ours = StudentConfig.read(folder)
    table = load("digits", limit=200).train.images.double() / 255
    assert ours.input.mean[0] == pytest.approx(float(table.mean()), abs=1e-6)
    assert sum(value.numel() for value in load_file(folder / "model.safetensors").values()) > 0
    card = (folder / "README.md").read_text()
    assert "Test accuracy" in card
    assert "python predict.py" in card
    assert str(finished) not in card + (folder / "config.json").read_text()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "holds no student"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "config.json").write_text('{"a": 1}'), "not of a student of ours"),
        (lambda f: (f / "model.safetensors").unlink(), "is missing"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), "damaged or changed"),
    ],
)
def test_a_damaged_folder_is_a_sentence(damage, said: str, finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished / "student", folder)
    damage(folder)
    with pytest.raises(RunError, match=said):
        sh.load(folder)


def test_a_network_without_a_name_is_a_program_and_that_has_to_be_allowed(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    shutil.copytree(finished / "student", folder)
    path = folder / "config.json"
    found = json.loads(path.read_text())
    found["stillhouse"]["network"] |= {"model": "python:mine:net", "by_name": False}
    path.write_text(json.dumps(found))
    with pytest.raises(ModelError, match="allow_program=True"):
        sh.load(folder)
    pixels = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    allowed = sh.load(folder, allow_program=True)
    assert torch.allclose(allowed.outputs(pixels), sh.load(finished).outputs(pixels), atol=1e-5)
    with pytest.raises(ModelError, match="the student is a program"):
        _ = allowed.model


def test_unreadable_images_are_named_and_the_others_predicted(
    finished: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (30, 20), (200, 10, 10)).save(pictures / "good.png")
    (pictures / "bad.png").write_text("no image")
    run = CliRunner().invoke(app, ["predict", str(finished), str(pictures), "--format", "csv"])
    assert run.exit_code == 3
    assert "good.png" in run.stdout
    assert "1 of 2 images could not be read" in run.stderr
    with pytest.raises(DataError, match=r"bad\.png: the image cannot be read"):
        sh.load(finished).predict([pictures / "bad.png"])
    with pytest.raises(DataError, match="holds floats"):
        sh.load(finished).predict([np.zeros((8, 8))])


def test_images_held_larger_and_a_form_of_ones_own_are_prepared_alike(tmp_path: Path) -> None:
    out = tmp_path / "run"
    sh.distill(
        data={"source": "digits", "limit": 100, "size": 6, "load_size": 8},
        student={"model": "convnet-8", "input": {"size": 9, "channels": 3}},
        teacher="convnet-8",
        out=out,
        epochs=1,
        seeds=1,
        precision="fp32",
    )
    test = load("digits", limit=100).test
    names = [tmp_path / f"{at}.png" for at in range(4)]
    for name, image in zip(names, test.images, strict=False):
        Image.fromarray(image[..., 0].numpy()).save(name)
    ran = subprocess.run(
        [sys.executable, str(out / "student" / "predict.py"), *map(str, names)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = [line.split("\t")[1] for line in ran.stdout.splitlines()]
    assert told == [each.label for each in sh.load(out).predict(names)]
    scores = json.loads((out / "scores.json").read_text())
    (model,) = [each for each in scores["models"] if each["role"] == "student"]
    said = sh.load(out).predict([image.numpy() for image in test.images])
    right = [each.label == str(int(label)) for each, label in zip(said, test.labels, strict=True)]
    assert np.mean(right) == pytest.approx(model["runs"][0]["test"]["last"], abs=1e-6)


def test_the_report_shows_what_was_exported_and_how_it_answers(finished: Path) -> None:
    """As the command says it; a file of the same name takes its line's place."""
    for _ in range(2):
        done = CliRunner().invoke(app, ["export", str(finished), "--to", "torchscript"])
        assert done.exit_code == 0, done.output
        (finished / "student.torchscript").unlink()
    page = (finished / "report.html").read_text()
    assert page.count("<dt>student.torchscript<small>") == 1
    (said,) = [line for line in done.stdout.splitlines() if "beside the student" in line]
    assert said in page
    assert "rows with the same answer" in said
    (one,) = ExportList.of(finished).exports
    assert one.bytes > 10_000
    (finished / "exports.json").unlink()
