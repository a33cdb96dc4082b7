"""Resizing keeps the middle of each image and all of its labels."""

import numpy as np
import pytest
import torch
from PIL import Image

from stillhouse.data.image_operations import resize_table
from stillhouse.data.tables import ImageTable, SampleTable
from stillhouse.errors import DataError


class Listed:
    """A dataset of the given images."""

    def __init__(self, *images: object) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[object, int]:
        return self.images[row], row


def table_of(*images: object) -> SampleTable:
    rows = torch.arange(len(images))
    return SampleTable(Listed(*images), rows, rows)


def stripes(width: int, height: int) -> Image.Image:
    """Left third red, middle green, right third blue; or top to bottom when it is high."""
    array = np.zeros((height, width, 3), np.uint8)
    for channel, part in enumerate(np.array_split(np.arange(max(width, height)), 3)):
        if width > height:
            array[:, part, channel] = 255
        else:
            array[part, :, channel] = 255
    return Image.fromarray(array)


@pytest.mark.parametrize(("width", "height"), [(90, 30), (30, 90), (9, 3), (93, 31)])
def test_the_middle_square_remains(width: int, height: int) -> None:
    resized = resize_table(table_of(stripes(width, height)), 16)
    assert resized.images.shape == (1, 16, 16, 3)
    middle = resized.images[0, 2:-2, 2:-2].float().mean((0, 1))
    assert middle[1] > 250
    assert middle[[0, 2]].max() < 5


@pytest.mark.parametrize("size", [4, 8, 13, 40])
def test_every_size_gives_squares_and_keeps_labels(size: int) -> None:
    sizes = [(8, 8), (17, 31), (31, 17), (100, 33)]
    table = table_of(*(Image.new("RGB", pair, (10, 20, 30)) for pair in sizes))
    resized = resize_table(table, size)
    assert resized.images.shape == (4, size, size, 3)
    assert resized.labels.tolist() == [0, 1, 2, 3]
    assert (resized.images == torch.tensor([10, 20, 30])).all(), "a flat image stays flat"


def test_the_same_size_changes_nothing() -> None:
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 9, 9, 3), generator=made).to(torch.uint8)
    table = ImageTable(images, torch.tensor([2, 0, 1]))
    resized = resize_table(table, 9)
    assert torch.equal(resized.images, images)
    assert torch.equal(resized.labels, table.labels)


def test_halving_is_near_the_mean_of_four_pixels() -> None:
    """Antialiasing: a bilinear sample without it would take one pixel of a fine pattern."""
    board = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)
    resized = resize_table(ImageTable(torch.tensor(board)[None, :, :, None], torch.tensor([0])), 16)
    assert resized.images.shape == (1, 16, 16, 1)
    inner = resized.images[0, 1:-1, 1:-1].float()
    assert ((inner - 127.5).abs() < 2).all()


def test_grey_and_colour_do_not_mix() -> None:
    with pytest.raises(DataError, match=r"differ in channels after resizing.*make them all RGB"):
        resize_table(table_of(Image.new("RGB", (8, 8)), Image.new("L", (8, 8))), 4)


def test_floats_are_not_pixels() -> None:
    with pytest.raises(DataError, match="resizes pixels"):
        resize_table(table_of(torch.zeros(3, 8, 8)), 4)
