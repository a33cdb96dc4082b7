"""Images that are held larger than they are shown: cut and resized as Pillow does it one by one."""

import numpy as np
import pytest
import torch
from PIL import Image

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.resampling import cut_and_resized
from stillhouse.data.tables import ImageTable, SampleTable

BILINEAR = Image.Resampling.BILINEAR


def noise(count: int, height: int, width: int, channels: int = 3) -> torch.Tensor:
    made = torch.Generator().manual_seed(0)
    shape = (count, height, width, channels)
    return torch.randint(0, 256, shape, generator=made).to(torch.uint8)


def by_pillow(image: torch.Tensor, box: list[int], high: int, wide: int) -> torch.Tensor:
    """The box of one image, resized in width and then in height."""
    top, left, tall, across = box
    array = image.numpy()
    picture = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    picture = picture.crop((left, top, left + across, top + tall))
    made = picture.resize((wide, tall), BILINEAR).resize((wide, high), BILINEAR)
    return torch.tensor(np.array(made)).reshape(high, wide, -1)


@pytest.mark.parametrize(
    ("height", "width", "size", "channels"),
    [(40, 40, 24, 3), (30, 61, 16, 1), (90, 70, 7, 3), (12, 15, 32, 3), (16, 16, 16, 3)],
)
def test_boxes_are_those_of_pillow_bit_for_bit(
    height: int, width: int, size: int, channels: int
) -> None:
    images, drawn = noise(8, height, width, channels), np.random.default_rng(1)
    boxes = []
    for _ in images:
        tall, across = int(drawn.integers(1, height + 1)), int(drawn.integers(1, width + 1))
        places = (drawn.integers(0, height - tall + 1), drawn.integers(0, width - across + 1))
        boxes.append([*map(int, places), tall, across])
    boxes[0] = [0, 0, height, width]
    window = ((1, size), (0, size - 2))
    made = cut_and_resized(images, torch.tensor(boxes), (size, size), window)
    for image, box, mine in zip(images, boxes, made, strict=True):
        whole = by_pillow(image, box, size, size)
        assert torch.equal(mine, whole[1:, :-2])


def test_evaluation_resizes_and_cuts_the_middle() -> None:
    images = noise(3, 40, 40)
    augment = Augment((0.0,) * 3, (1.0,) * 3, size=24, resize=33)
    shown = augment(images).permute(0, 2, 3, 1) * 255
    for image, mine in zip(images, shown, strict=True):
        wanted = by_pillow(image, [0, 0, 40, 40], 33, 33)[4:28, 4:28]  # (33 - 24) / 2 = 4.5 -> 4
        torch.testing.assert_close(mine, wanted.float(), atol=1e-3, rtol=0)
    # Without a crop, training shows the same; mirrored with a flip.
    flipped = Augment((0.0,) * 3, (1.0,) * 3, size=24, resize=33, flip=True)
    viewed = flipped.view(images, seed=0, index=torch.arange(3), view=0)
    for mine, plain in zip(viewed, augment(images), strict=True):
        assert torch.equal(mine, plain) or torch.equal(mine, plain.flip(-1))


def test_training_cuts_what_is_held() -> None:
    """A resized crop is a box of the whole held image; a crop is cut anywhere, padding included."""
    images, index = noise(64, 40, 40), torch.arange(64)
    seen = {"seed": 3, "index": index, "view": 5}
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    boxed = Augment(**plain, resized_crop=0.5, size=16, resize=18).view(images, **seen)
    assert boxed.shape == (64, 3, 16, 16)
    from stillhouse.data.augment import _RESIZED
    from stillhouse.data.boxes import random_boxes

    boxes, fits = random_boxes(
        (40, 40), seed=3, index=index, view=5, draws=_RESIZED, area=(0.5, 1.0), ratio=(3 / 4, 4 / 3)
    )
    assert fits.all()
    for row in (0, 31):
        wanted = by_pillow(images[row], boxes[row].tolist(), 16, 16)
        mine = (boxed[row] * 255).round().to(torch.uint8).permute(1, 2, 0)
        assert torch.equal(mine, wanted)
    cropped = Augment(**plain, crop=2, size=16, resize=18).view(images, **seen) * 255
    found = set()
    for image, mine in zip(images, cropped, strict=True):
        whole = by_pillow(image, [0, 0, 40, 40], 18, 18).permute(2, 0, 1).float()
        padded = torch.nn.functional.pad(whole, (2, 2, 2, 2))
        places = [(y, x) for y in range(7) for x in range(7)
                  if (padded[:, y:y + 16, x:x + 16] - mine).abs().max() < 1e-3]  # fmt: skip
        assert len(places) == 1
        found.add(places[0])
    assert {y for y, _ in found} == {x for _, x in found} == set(range(7))


def test_a_view_is_a_function_of_seed_row_and_view_alone() -> None:
    images = noise(12, 40, 40)
    augment = Augment((0.5,) * 3, (0.25,) * 3, resized_crop=0.2, flip=True, size=16, resize=18)
    table = ImageTable(images, torch.arange(12))
    memory = Batches(table, augment, batch_size=12)
    pictures = [(Image.fromarray(image.numpy()), row) for row, image in enumerate(images)]
    disk = Batches(SampleTable(pictures, table.labels, torch.arange(12)), augment, batch_size=5)
    rows = torch.tensor([7, 2, 11])
    together = memory.show(torch.arange(12), view=4)["batch.image"]
    assert torch.equal(memory.show(rows, view=4)["batch.image"], together[rows])
    assert torch.equal(disk.show(rows, view=4)["batch.image"], together[rows])
    assert not torch.equal(memory.show(rows, view=5)["batch.image"], together[rows])
    for mine, theirs in zip(memory.once(), disk.once(), strict=True):
        assert mine["batch.image"].shape == (12, 3, 16, 16)
        assert torch.equal(mine["batch.image"], theirs["batch.image"])
