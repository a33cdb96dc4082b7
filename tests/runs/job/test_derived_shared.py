"""Runs whose student shares its weights: rates, resuming, the folder, what answers."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from stop_amid import StopAmid

import stillhouse as sh
from stillhouse.data.load import load
from stillhouse.recipes import make_recipe
from stillhouse.runs.run import prepare
from stillhouse.runs.training.training import student_training
from stillhouse.students import codebooks, is_shared

pytestmark = pytest.mark.programs

SETTINGS = {
    "data": "digits", "teacher": "convnet-8-16", "student": {"derive": "shared", "bits": 3},
    "epochs": 2, "seeds": 1, "batch": 16, "precision": "fp32", "control": False,
}  # fmt: skip
FEW = {"data": {"source": "digits", "limit": 200}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("shared") / "run"
    return out, sh.distill(**{**SETTINGS, **FEW}, out=out)


def test_its_folder_is_small_built_by_name_and_answers_as_the_student_did(finished) -> None:
    out, outcome = finished
    held = load_file(out / "student/model.safetensors")
    assert held["layer2.conv.packed"].dtype == torch.uint8
    assert len(held["layer2.conv.packed"]) == 8 * 16 * 9 * 3 // 8
    assert len(held["layer2.conv.codebook"]) == 8
    student = sh.load(out)
    assert "allow_program" not in repr(student)
    assert len(student.model.layer2.conv.weight.unique()) <= 8
    assert not is_shared(student.model)
    test = load("digits", limit=200).test
    pixels = test.images.permute(0, 3, 1, 2)
    answers = student.outputs(pixels)
    program = torch.export.load(out / "student/model.pt2").module()
    torch.testing.assert_close(program(pixels), answers, rtol=1e-4, atol=1e-5)
    right = (answers.argmax(1) == test.labels).float().mean().item()
    (model,) = [each for each in outcome.scores["models"] if each["role"] == "student"]
    assert model["runs"][0]["test"]["last"] == pytest.approx(right, abs=1e-6)
    costs = json.loads((out / "costs.json").read_text())
    assert costs["changes"][1]["how"] == "8 values for 1,152 weights"


def test_a_stopped_training_goes_on_with_the_same_bits(finished, tmp_path: Path) -> None:
    out, _ = finished
    with pytest.raises(KeyboardInterrupt):
        sh.distill(**{**SETTINGS, **FEW}, out=tmp_path / "run", watcher=StopAmid(1))
    sh.distill(**{**SETTINGS, **FEW}, out=tmp_path / "run")
    mine, theirs = (load_file(each / "student.safetensors") for each in (tmp_path / "run", out))
    assert all(torch.equal(mine[name], value) for name, value in theirs.items())


def test_codebooks_learn_at_their_share_of_the_rate(finished) -> None:
    out, _ = finished
    recipe = make_recipe(
        {**{key: value for key, value in SETTINGS.items() if key != "data"},
         "data": {"source": "digits", "limit": 200}, "optimizer": {"name": "sgd", "lr": 0.5}}
    )  # fmt: skip
    job = prepare(recipe, out.parent / "rates")
    training = student_training(job, 0, job.teacher.make(0))
    role = training.stage.role("student")
    books = codebooks(role.module)
    assert len(books) == 2
    assert {role.lr_scales[book] for book in books} == {0.01}
    assert len(role.lr_scales) == 2
