"""A student's folder read by transformers, also after the place it was built from is gone; ONNX."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import nn

import stillhouse as sh
from stillhouse.deploy.hub import processor
from stillhouse.deploy.onnx import write_onnx
from stillhouse.deploy.preprocessing import Preprocessing
from stillhouse.deploy.program import ExportError

pytestmark = [pytest.mark.ecosystem, pytest.mark.programs]


def test_transformers_reads_the_folder_with_the_same_logits(tmp_path: Path) -> None:
    source, drawn = tmp_path / "source", np.random.default_rng(0)
    transformers.ResNetConfig(
        num_channels=3, embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic"
    ).save_pretrained(source)
    for part, rows in (("train", 8), ("val", 4), ("test", 4)):
        for name in ("cat", "dog"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for row in range(rows):
                values = drawn.integers(0, 256, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(values).save(tmp_path / "data" / part / name / f"{row}.png")
    out = tmp_path / "run"
    sh.distill(data=tmp_path / "data", student=f"hf:{source}", teacher="convnet-4", out=out,
               epochs=1, seeds=1, batch=8, precision="fp32", control=False)  # fmt: skip
    shutil.rmtree(source)
    folder = shutil.copytree(out / "student", tmp_path / "moved")
    network = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    prepare = transformers.AutoImageProcessor.from_pretrained(folder)
    assert network.config.id2label == {0: "cat", 1: "dog"}
    image = Image.open(tmp_path / "data" / "test" / "cat" / "0.png")
    with torch.no_grad():
        theirs = network(**prepare(image, return_tensors="pt")).logits[0]
    (mine,) = sh.load(folder).predict(image)
    assert torch.allclose(theirs, mine.output, atol=1e-4)
    card = (folder / "README.md").read_text()
    assert "AutoModelForImageClassification" in card
    assert "a grey level" in card


def test_the_processor_scales_and_cuts_as_the_student_and_keeps_shapes() -> None:
    wanted = Preprocessing(pixels=True, channels=3, height=16, width=16, size=(16, 16),
                           mean=(0.0,) * 3, std=(1.0,) * 3)  # fmt: skip
    prepare = transformers.CLIPImageProcessor(**processor(wanted))
    values = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    theirs = prepare(Image.fromarray(values), return_tensors="pt").pixel_values[0] * 255
    assert (theirs - wanted.of(values)).abs().max() <= 1.01


class Odd(nn.Module):
    """A layer of an operator that ONNX lacks."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(image)


def test_an_operator_that_onnx_lacks_is_named_with_its_layer(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(4, 3), Odd()), nn.Linear(3, 2))
    with pytest.raises(ExportError, match=r"bessel_j0.*layer '1\.1', .*Odd"):
        write_onnx(network.eval(), torch.ones(2, 1, 2, 2), tmp_path / "a.onnx", output="logits")
    assert not list(tmp_path.iterdir())
