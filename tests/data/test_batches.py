"""Batches are the same on any number of processes, from any step; of bytes and of floats."""

from dataclasses import replace

import pytest
import torch

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import FloatTable, ImageTable
from stillhouse.errors import DataError

Batch = dict[str, torch.Tensor]


@pytest.fixture
def batches(table: ImageTable) -> Batches:
    """Forty images in batches of twelve: four images of each epoch are left out."""
    augment = Augment((0.5,) * 3, (0.25,) * 3, crop=1, flip=True, cutout=2)
    return Batches(table, augment, batch_size=12, order_seed=3, view_seed=8)


def equal(mine: Batch, theirs: Batch) -> bool:
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def test_a_batch_holds_what_it_says(batches: Batches) -> None:
    for batch in batches.epoch(2):
        index = batch["batch.index"]
        assert batch["batch.image"].shape == (12, 3, 8, 8)
        assert torch.equal(batch["batch.label"], batches.table.labels[index])
        assert batch["batch.view"].tolist() == [2] * 12
        wanted = batches.augment.view(batches.table.images[index], seed=8, index=index, view=2)
        assert torch.equal(batch["batch.image"], wanted)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_batches_of_one(batches: Batches, world: int) -> None:
    parts = [list(replace(batches, rank=r, world=world).epoch(1)) for r in range(world)]
    for step, whole in enumerate(batches.epoch(1)):
        joined = {name: torch.cat([part[step][name] for part in parts]) for name in whole}
        assert equal(joined, whole)
    assert {len(part) for part in parts} == {len(batches)} == {3}


def test_no_sample_comes_twice_in_an_epoch(batches: Batches) -> None:
    left_out = []
    for epoch in range(20):
        seen = torch.cat([batch["batch.index"] for batch in batches.epoch(epoch)]).tolist()
        assert len(seen) == len(set(seen)) == 36
        left_out += set(range(40)) - set(seen)
    assert len(set(left_out)) > 30, "others are left out in other epochs"


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_an_epoch_goes_on_from_any_step(batches: Batches, start: int) -> None:
    whole, rest = list(batches.epoch(4)), list(batches.epoch(4, start=start))
    assert len(rest) == 3 - start
    assert all(equal(a, b) for a, b in zip(whole[start:], rest, strict=True))


def image_of(batches: Batches, epoch: int, row: int) -> torch.Tensor:
    for batch in replace(batches, batch_size=40).epoch(epoch):
        return batch["batch.image"][batch["batch.index"] == row][0]
    raise AssertionError


def test_views_repeat_after_k_epochs_and_the_order_does_not(batches: Batches) -> None:
    three = replace(batches, views=3)
    for row in (0, 17, 39):
        shown = [image_of(three, epoch, row) for epoch in range(7)]
        assert all(torch.equal(shown[epoch], shown[epoch % 3]) for epoch in range(7))
        live = [image_of(batches, epoch, row) for epoch in range(7)]
        assert all(torch.equal(live[epoch], shown[epoch]) for epoch in range(3))
        assert any(not torch.equal(live[epoch], live[epoch % 3]) for epoch in range(3, 7))
    orders = [next(three.epoch(epoch))["batch.index"].tolist() for epoch in (0, 3)]
    assert orders[0] != orders[1]


def test_order_and_views_have_their_own_seeds(batches: Batches) -> None:
    first = next(batches.epoch(0))
    other_order = next(replace(batches, order_seed=4).epoch(0))
    other_view = next(replace(batches, view_seed=9).epoch(0))
    assert not torch.equal(first["batch.index"], other_order["batch.index"])
    assert torch.equal(first["batch.index"], other_view["batch.index"])
    assert not torch.equal(first["batch.image"], other_view["batch.image"])
    row = int(first["batch.index"][0])
    assert torch.equal(image_of(batches, 0, row), image_of(replace(batches, order_seed=4), 0, row))


def test_images_of_one_batch_are_moved_differently(table: ImageTable) -> None:
    """The seeds are equal by default; once each batch then had one crop for all its images."""
    bright = ImageTable(torch.zeros(512, 8, 8, 1, dtype=torch.uint8), torch.zeros(512).long())
    bright.images[:, 4, 4] = 255
    batches = Batches(bright, Augment((0.0,), (1.0,), crop=2), batch_size=64)
    for batch in batches.epoch(0):
        place = batch["batch.image"].flatten(1).argmax(1)
        assert len((place % 8).unique()) == len((place // 8).unique()) == 5


def test_evaluation_serves_each_row_once_and_as_it_is(batches: Batches) -> None:
    shown = list(batches.once(batch_size=7))
    assert torch.cat([batch["batch.index"] for batch in shown]).tolist() == list(range(40))
    assert [len(batch["batch.label"]) for batch in shown] == [7] * 5 + [5]
    images = torch.cat([batch["batch.image"] for batch in shown])
    assert torch.equal(images, batches.augment(batches.table.images))
    assert {int(v) for batch in shown for v in batch["batch.view"]} == {-1}


def test_rows_are_shown_under_a_view(batches: Batches) -> None:
    sample = batches.sample(3)
    assert sample["batch.index"].tolist() == [0, 1, 2]
    assert equal(sample, batches.show(torch.arange(3), 0))
    assert len(batches.sample(99)["batch.label"]) == 40
    assert torch.equal(batches.show(torch.tensor([17]), 5)["batch.image"][0],
                       image_of(batches, 5, 17))  # fmt: skip


def test_a_batch_is_no_larger_than_the_table(batches: Batches) -> None:
    assert len(replace(batches, batch_size=64)) == 1
    (batch,) = replace(batches, batch_size=64).epoch(0)
    assert sorted(batch["batch.index"].tolist()) == list(range(40))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch_size": 0}, "batch size 0: it must be at least 1"),
        ({"world": 5}, "a batch of 12 cannot be cut into 5 equal parts; choose a multiple of 5"),
        ({"batch_size": 41, "world": 3}, "a batch of 40 cannot be cut into 3"),
    ],
)
def test_batches_that_cannot_be_are_refused(
    batches: Batches, changes: dict[str, int], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        replace(batches, **changes)


def test_an_empty_table_is_refused(batches: Batches, table: ImageTable) -> None:
    with pytest.raises(DataError, match="the table has no rows"):
        replace(batches, table=table.take(torch.arange(0)))


IMAGES = torch.randn(12, 5, 5, 1, generator=torch.Generator().manual_seed(0)) * 40
PLAIN = Augment((0.0,), (1.0,))


def test_floats_are_served_bit_for_bit() -> None:
    served = next(iter(Batches(FloatTable(IMAGES, torch.arange(12)), PLAIN).once()))
    assert torch.equal(served["batch.image"].permute(0, 2, 3, 1), IMAGES)


def test_floats_are_normalised_without_255() -> None:
    shown = Augment((2.0,), (4.0,))(IMAGES)
    assert torch.allclose(shown.permute(0, 2, 3, 1), (IMAGES - 2) / 4, atol=1e-5)


def test_floats_are_moved_as_bytes_are() -> None:
    """The same places for the same (seed, index, view); zeros come in at the edges."""
    index = torch.arange(12)
    bytes_of = torch.arange(12 * 25).remainder(255).add(1).to(torch.uint8).view(12, 5, 5, 1)
    augment = Augment((0.0,), (1.0,), crop=2, flip=True)
    as_bytes = augment.view(bytes_of, seed=3, index=index, view=1)
    as_floats = augment.view(bytes_of.float(), seed=3, index=index, view=1)
    assert torch.allclose(as_bytes * 255, as_floats, atol=1e-3)
    assert not torch.equal(as_floats, augment.view(bytes_of.float(), seed=3, index=index, view=2))


def test_a_transform_gets_the_floats() -> None:
    table = FloatTable(IMAGES, torch.arange(12))
    batches = Batches(table, PLAIN, transform=lambda image: image * 2, batch_size=4)
    shown = batches.show(torch.tensor([3]), view=0)["batch.image"]
    assert torch.equal(shown[0], IMAGES[3].permute(2, 0, 1) * 2)
