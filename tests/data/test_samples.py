"""Any transform gives the same tensor for (seed, sample, view), wherever and whenever it runs."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.pixels import to_pixels
from stillhouse.data.tables import ImageTable, SampleTable
from stillhouse.errors import DataError

AUGMENT = Augment((0.5,) * 3, (0.25,) * 3, crop=1, flip=True, cutout=2)


def jitter(image: object) -> Tensor:
    """Draws from all three generators."""
    draws = [random.random(), np.random.rand(), torch.rand(()).item()]
    pixels = image if isinstance(image, Tensor) else torch.tensor(np.array(image))
    return torch.cat([torch.tensor(draws), pixels.float().flatten()])


# Python 3.12 warns of any fork beside threads, such as those of torch.
FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class Pictures:
    """PIL images that say which row they are."""

    def __init__(self, count: int = 20, sizes: tuple[int, ...] = (6,)) -> None:
        self.count, self.sizes = count, sizes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> tuple[Image.Image, int]:
        size = self.sizes[row % len(self.sizes)]
        return Image.new("RGB", (size, 6), (row, 2 * row, 3 * row)), row % 3


class Floats(Pictures):
    """Tensors that are normalised already."""

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.full((3, 6, 6), row / 8), row % 3


def rows_of(dataset: Pictures) -> SampleTable:
    """The rows of a dataset from the last to the first."""
    rows = torch.arange(len(dataset)).flip(0)
    return SampleTable(dataset, rows % 3, rows)


def by_row(batches: Batches, epoch: int) -> dict[int, Tensor]:
    return {
        int(index): image
        for batch in batches.epoch(epoch)
        for index, image in zip(batch["batch.index"], batch["batch.image"], strict=True)
    }


@pytest.fixture(params=["samples", "table"])
def batches(request: pytest.FixtureRequest, table: ImageTable) -> Batches:
    source = table if request.param == "table" else rows_of(Pictures())
    return Batches(source, AUGMENT, transform=jitter, batch_size=4, view_seed=5)


def test_a_view_is_the_same_in_any_order_and_differs_from_others(batches: Batches) -> None:
    first = by_row(batches, 0)
    torch.manual_seed(99)
    random.seed(99)
    np.random.seed(99)
    other_order = replace(batches, order_seed=1, batch_size=10, views=1)
    again = by_row(other_order, 7)
    assert len(first) == len(batches.table) == len(again)
    assert all(torch.equal(first[row], again[row]) for row in first)
    shown = [by_row(batches, epoch)[3][:3] for epoch in range(4)]
    shown += [by_row(replace(batches, view_seed=6), 0)[3][:3], first[4][:3]]
    draws = torch.stack(shown)
    assert all(len(column.unique()) == 6 for column in draws.T), "each generator differs"


def test_a_view_is_the_same_on_any_number_of_processes(batches: Batches) -> None:
    whole = by_row(batches, 2)
    for rank in range(2):
        part = by_row(replace(batches, rank=rank, world=2), 2)
        assert len(part) == len(whole) // 2
        assert all(torch.equal(whole[row], image) for row, image in part.items())


@FORKS
def test_workers_give_the_same_batches() -> None:
    alone = Batches(rows_of(Pictures()), AUGMENT, transform=jitter, batch_size=4)
    helped = replace(alone, workers=2)
    for mine, theirs in zip(alone.epoch(1), helped.epoch(1), strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    rest = list(helped.epoch(1, start=3))
    assert len(rest) == 2
    assert torch.equal(rest[0]["batch.image"], list(alone.epoch(1))[3]["batch.image"])


def test_labels_and_rows_are_those_of_the_table() -> None:
    batches = Batches(rows_of(Pictures()), AUGMENT, transform=jitter, batch_size=4)
    for batch in (*batches.epoch(0), *batches.once(batch_size=3)):
        index = batch["batch.index"]
        assert torch.equal(batch["batch.label"], batches.table.labels[index])
        assert batch["batch.image"][:, 3].tolist() == (19 - index).float().tolist()


def test_pictures_one_by_one_equal_the_whole_table() -> None:
    """The fast path and the slow path show the same views."""
    dataset = Pictures()
    slow = Batches(rows_of(dataset), AUGMENT, batch_size=5, view_seed=2)
    images = torch.stack([to_pixels(dataset[19 - row][0]) for row in range(20)]).permute(0, 2, 3, 1)
    fast = replace(slow, table=ImageTable(images.contiguous(), slow.table.labels))
    for a, b in zip((*slow.epoch(3), *slow.once(7)), (*fast.epoch(3), *fast.once(7)), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_normalised_tensors_are_taken_as_they_are() -> None:
    batches = Batches(rows_of(Floats()), Augment((0.0,) * 3, (1.0,) * 3), batch_size=5)
    for batch in (*batches.epoch(0), *batches.once()):
        assert batch["batch.image"].shape[1:] == (3, 6, 6)
        assert torch.equal(batch["batch.image"][:, 0, 0, 0], (19 - batch["batch.index"]) / 8)


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (lambda image: image, r"the transform gave a Image for row \d+; it must give a float"),
        (lambda image: np.zeros(3), "gave a ndarray for row"),
        (lambda image: to_pixels(image), r"gave a torch\.uint8 for row"),
    ],
)
def test_a_transform_that_gives_no_float_tensor_is_refused(transform, said: str) -> None:
    batches = Batches(rows_of(Pictures()), AUGMENT, transform=transform, batch_size=4)
    with pytest.raises(DataError, match=said):
        list(batches.epoch(0))


@FORKS
@pytest.mark.parametrize("workers", [0, 1])
def test_images_of_several_sizes_are_refused(workers: int) -> None:
    batches = Batches(rows_of(Pictures(sizes=(6, 7))), AUGMENT, batch_size=20, workers=workers)
    said = r"differ in shape \(\[3, 6, 6\], \[3, 6, 7\]\); give a transform that resizes"
    with pytest.raises(DataError, match=said):
        list(batches.epoch(0))
