"""A run with branches: the student is its product, the ensemble a program beside it."""

import json
from pathlib import Path

import pytest
import torch

import stillhouse as sh

pytestmark = pytest.mark.programs


def test_the_ensemble_is_measured_and_handed_over(tmp_path: Path) -> None:
    outcome = sh.distill(
        data={"source": "digits", "limit": 160, "augment": "none"}, student="convnet-4-8-16",
        method={"name": "one", "branches": 1}, out=tmp_path / "run", epochs=2, batch=32, seeds=1,
        precision="fp32", control=False,
    )  # fmt: skip
    (run,) = outcome.scores["models"][0]["runs"]
    assert list(run["heads"]) == ["branch 1", "ensemble"]
    listed = json.loads((tmp_path / "run" / "products.json").read_text())["products"]
    assert [each["file"] for each in listed] == [
        "student.safetensors", "student-ensemble.pt2",
        "student-best.safetensors", "student-ensemble-best.pt2",
    ]  # fmt: skip
    program = torch.export.load(tmp_path / "run" / "student-ensemble.pt2").module()
    image = torch.randn(5, 1, 8, 8)
    assert program(image).shape == outcome.student(image).shape == (5, 10)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(program(image), outcome.student(image))
