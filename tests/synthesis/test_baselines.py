from pathlib import Path

import pytest
import torch
from tiny import GREY
from torch import Tensor, nn

from stillhouse.data.load import Splits
from stillhouse.data.sources.synthesis import ROWS, present, read_file
from stillhouse.data.tables import ImageTable
from stillhouse.errors import RecipeError
from stillhouse.synthesis import synthesize


def images(net: nn.Module, out: Path, method, count: int = 12, **more) -> Tensor:
    synthesize(net, method=method, count=count, image_shape=GREY, out=out, device="cpu", **more)
    return torch.cat([read_file(path)["image"] for path in present(out, ROWS).values()])


def test_noise_baselines(net: nn.Module, tmp_path: Path) -> None:
    uniform = images(net, tmp_path / "u", "noise_uniform", 200, mean=(0.5,), std=(0.5,))
    assert -1 <= float(uniform.min()) < -0.99
    assert 0.99 < float(uniform.max()) < 1
    normal = images(net, tmp_path / "n", {"name": "noise_gaussian", "std": 3.0}, 200)
    assert float(normal.std()) == pytest.approx(3.0, rel=0.05)


def test_unrelated_images_are_resized_and_normalised(net: nn.Module, tmp_path: Path) -> None:
    pixels = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 4, 4, 3) * 20
    table = ImageTable(pixels.contiguous(), torch.arange(10) % 2)
    source = Splits("other", table, table, table, ("a", "b"), "x")
    x = images(net, tmp_path, {"name": "unrelated", "source": source}, 10, mean=(0.5,), std=(0.5,))
    assert sorted(round((v * 0.5 + 0.5) * 255 / 20) for v in x[:, 0, 0, 0].tolist()) == [*range(10)]
    with pytest.raises(RecipeError, match="11 images are asked for and 'unrelated' has 10"):
        images(net, tmp_path / "more", {"name": "unrelated", "source": source}, 11)
