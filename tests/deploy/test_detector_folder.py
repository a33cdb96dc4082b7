"""A detector's folder with a network of one's own: boxes in pixels of each image, and mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stillhouse.deploy.detector import DetectorConfig, DetectorPredictor, write_detector
from stillhouse.errors import DataError

pytestmark = pytest.mark.programs


class White(nn.Module):
    """Finds the white part of an image, as a detector of torchvision's form."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("least", torch.tensor(0.9))

    def forward(self, images: list[Tensor], targets: Any = None) -> list[dict[str, Tensor]]:
        found = []
        for image in images:
            rows, columns = (image.amin(0) > self.least).nonzero(as_tuple=True)
            box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            found.append({"boxes": box[None].float(), "labels": torch.tensor([2]),
                          "scores": torch.tensor([0.75])})  # fmt: skip
        return found


@pytest.fixture
def predictor(tmp_path: Path) -> DetectorPredictor:
    config = DetectorConfig(None, {}, ("bar", "square"), (32, 64), 64, {})
    write_detector(tmp_path / "it", config, White())
    return DetectorPredictor(tmp_path / "it", network=White())


@pytest.mark.parametrize("size", [(128, 64), (128, 40), (64, 128), (50, 50), (16, 8)])
def test_boxes_are_in_pixels_of_an_image_of_any_shape(
    predictor: DetectorPredictor, size: tuple[int, int]
) -> None:
    """Trained on images twice as wide as high; a tall one is shown smaller, to fit."""
    width, height = size
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    left, top, right, bottom = width // 4, height // 4, width // 2, 3 * height // 4
    pixels[top:bottom, left:right] = 255
    (found,) = predictor.predict(pixels)
    assert found.labels == ("square",)
    wanted = torch.tensor([left, top, right, bottom]).float()
    assert (found.boxes[0] - wanted).abs().max() <= max(size) / 32 + 1
    (upright,) = predictor.predict([Image.fromarray(pixels)], least=0.8)
    assert upright.labels == ()


def test_what_is_no_image_is_named(predictor: DetectorPredictor, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("none")
    with pytest.raises(DataError, match=r"image .*a.png cannot be read"):
        predictor.predict([tmp_path / "a.png"])
    with pytest.raises(DataError, match="image 0 cannot be read"):
        predictor.predict([3])
