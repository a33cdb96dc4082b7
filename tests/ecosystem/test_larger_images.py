"""Images that are held larger than they are shown: as torchvision and timm cut and resize them."""

import numpy as np
import pytest
import torch
from PIL import Image

from stillhouse.data.augment import Augment
from stillhouse.data.resampling import cut_and_resized
from stillhouse.recipes.data import DataSection

pytest.importorskip("torchvision")
pytest.importorskip("timm")
pytestmark = pytest.mark.ecosystem

PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


def held(side: int = 128) -> torch.Tensor:
    """Smooth and rough parts, so that a shift or a wrong filter would be seen."""
    made = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (4, side, side, 3), generator=made)
    ramp = torch.linspace(0, 255, side)[:, None, None].expand(side, side, 3)
    return torch.stack([noise[0], ramp, noise[1] // 2 + ramp / 2, 255 - ramp]).to(torch.uint8)


@pytest.mark.parametrize(("size", "load", "pct"), [(96, 128, 0.875), (64, 80, 0.9), (64, 128, 1)])
def test_evaluation_is_that_of_timm_and_torchvision(size: int, load: int, pct: float) -> None:
    from timm.data import create_transform
    from torchvision.transforms import v2

    section = DataSection(source="photographs", size=size, load_size=load, crop_pct=pct)
    images = held(load)
    mine = Augment(**PLAIN, size=size, resize=section.resize)(images)
    theirs = create_transform(
        (3, size, size), is_training=False, crop_pct=pct, interpolation="bilinear",
        mean=PLAIN["mean"], std=PLAIN["std"],
    )  # fmt: skip
    vision = v2.Compose([v2.Resize(section.resize), v2.CenterCrop(size)])
    for image, shown in zip(images, mine, strict=True):
        picture = Image.fromarray(image.numpy())
        torch.testing.assert_close(shown, theirs(picture), atol=1.01 / 255, rtol=0)
        wanted = torch.tensor(np.array(vision(picture))).permute(2, 0, 1) / 255
        torch.testing.assert_close(shown, wanted, atol=1.01 / 255, rtol=0)


def test_random_boxes_are_resized_as_torchvision_does() -> None:
    from torchvision.transforms.v2 import functional

    images = held()
    boxes = torch.tensor([[0, 0, 128, 128], [10, 3, 100, 60], [40, 50, 20, 78], [1, 2, 33, 120]])
    made = cut_and_resized(images, boxes, (96, 96), ((0, 96), (0, 96)))
    for image, box, mine in zip(images, boxes.tolist(), made, strict=True):
        wanted = functional.resized_crop(image.permute(2, 0, 1), *box, [96, 96], antialias=True)
        difference = (mine.permute(2, 0, 1).int() - wanted.int()).abs()
        assert difference.max() <= 1
