"""Images of floats go through the same batches and views as bytes, and come out unrounded."""

import torch

from stillhouse.data import Augment, Batches, FloatTable

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
