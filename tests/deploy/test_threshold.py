"""The threshold of a verifying student: chosen on validation, told in the folder, used by all."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.data.load import Splits, load
from stillhouse.data.tables import ImageTable
from stillhouse.deploy.predictor import Predictor
from stillhouse.verification.pairs import all_pairs

pytestmark = pytest.mark.programs


def _people(which: list[int]) -> ImageTable:
    whole = load("digits").train
    chosen = torch.isin(whole.labels, torch.tensor(which))
    return ImageTable(whole.images[chosen][:60], whole.labels[chosen][:60])


def _cosines(student: Predictor, table: ImageTable) -> tuple[np.ndarray, np.ndarray]:
    """Of each two rows, in a plain loop."""
    said = [each.output.double().numpy() for each in student.predict(list(table.images.numpy()))]
    cosine, same = [], []
    for one in range(len(said)):
        for two in range(one + 1, len(said)):
            cosine.append(float(said[one] @ said[two]))
            same.append(bool(table.labels[one] == table.labels[two]))
    return np.array(cosine), np.array(same)


def test_it_is_chosen_on_validation_and_measured_on_the_test_pairs(tmp_path: Path) -> None:
    train, validation, test = (_people(which) for which in ([0, 1, 2, 3], [4, 5], [6, 7]))
    splits = Splits(
        "people", train, validation, test, tuple("0123"), "people-1", people=tuple("01234567"),
        pairs={"validation": all_pairs(validation.labels), "test": all_pairs(test.labels)},
    )  # fmt: skip
    sh.distill(
        data=splits, student="convnet-8-16", teacher="convnet-8-16", out=tmp_path / "run",
        epochs=1, seeds=1, precision="fp32", batch=32, task={"name": "verification"},
    )  # fmt: skip
    student = sh.load(tmp_path / "run")
    threshold, told = student.config.threshold, student.config.at_threshold
    cosine, same = _cosines(student, validation)
    balanced = [np.mean(cosine[same] >= at) - np.mean(cosine[~same] >= at) for at in cosine]
    assert np.mean(cosine[same] >= threshold) - np.mean(
        cosine[~same] >= threshold
    ) >= max(balanced) - 2e-3  # fmt: skip
    cosine, same = _cosines(student, test)
    accepted = cosine >= threshold
    for value, wanted in (
        (told.accuracy, np.mean(accepted == same)),
        (told.tar, np.mean(accepted[same])),
        (told.far, np.mean(accepted[~same])),
    ):
        assert abs(value - wanted) < 2e-3
    card = (tmp_path / "run" / "student" / "README.md").read_text()
    assert f"from {threshold:.4f} on" in card
    assert "1,770 validation pairs; on 1,770 test pairs accuracy" in card

    names = [str(tmp_path / f"{at}.png") for at in range(3)]
    for name, row in zip(names, (0, 1, 2), strict=True):
        Image.fromarray(test.images[row, ..., 0].numpy()).save(name)
    wanted = student.same(*names[:2])
    word = "same" if wanted.same else "different"
    line = CliRunner().invoke(app, ["predict", str(tmp_path / "run"), *names[:2]]).stdout
    assert line == f"{word}  cosine {wanted.cosine:.4f}, threshold {threshold:.4f}\n"
    script = [sys.executable, str(tmp_path / "run" / "student" / "predict.py")]
    ran = subprocess.run([*script, *names[:2]], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{word}\tcosine {wanted.cosine:.4f}\tthreshold {threshold:.4f}\n"
    ran = subprocess.run([*script, names[0], "no.png"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "no.png cannot be read" in ran.stderr

    many = tmp_path / "all.npz"
    done = CliRunner().invoke(
        app, ["predict", str(tmp_path / "run"), *names, "--format", "npz", "-o", str(many)]
    )
    assert done.exit_code == 0, done.output
    with np.load(many) as found:
        assert found["image"].tolist() == names
        one = student.predict(names)[2].output.numpy()
        assert np.allclose(found["embedding"][2], one, atol=1e-6)
    out = CliRunner().invoke(app, ["predict", str(tmp_path / "run"), names[0], "--format", "json"])
    assert len(json.loads(out.stdout)["embedding"]) == len(one)
