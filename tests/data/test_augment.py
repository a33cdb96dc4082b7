"""Augmentation of whole batches equals a loop over images that uses the same draws."""

import numpy as np
import pytest
import torch
from scipy import stats

from stillhouse.data.augment import Augment
from stillhouse.data.views import uniform

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
COUNT = 60


def pictures(height: int = 9, width: int = 7, channels: int = 3) -> torch.Tensor:
    made = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (COUNT, height, width, channels), generator=made).to(torch.uint8)


def naive(augment: Augment, image: np.ndarray, draws: list[float]) -> np.ndarray:
    """One image: pad, cut, mirror, normalise, cut out."""
    height, width, channels = image.shape
    row, column, flip, cut_row, cut_column = draws
    pad = augment.crop
    if pad:
        padded = np.zeros((height + 2 * pad, width + 2 * pad, channels), image.dtype)
        padded[pad : pad + height, pad : pad + width] = image
        top, left = int(row * (2 * pad + 1)), int(column * (2 * pad + 1))
        image = padded[top : top + height, left : left + width]
    if augment.flip and int(flip * 2):
        image = image[:, ::-1]
    result = (image.astype(np.float64) / 255 - np.array(augment.mean)) / np.array(augment.std)
    if augment.cutout:
        middle_row, middle_column = int(cut_row * height), int(cut_column * width)
        for y in range(height):
            for x in range(width):
                near = (
                    y - middle_row + augment.cutout // 2,
                    x - middle_column + augment.cutout // 2,
                )
                if all(0 <= place < augment.cutout for place in near):
                    result[y, x] = 0.0
    return result.transpose(2, 0, 1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"crop": 2},
        {"flip": True},
        {"cutout": 4},
        {"cutout": 3, "flip": True},
        {"crop": 4, "flip": True, "cutout": 5},
        {"crop": 20, "cutout": 30},
    ],
)
def test_a_view_equals_a_loop_over_images(options: dict[str, int]) -> None:
    augment, images, index = Augment(MEAN, STD, **options), pictures(), torch.arange(COUNT) + 7
    shown = augment.view(images, seed=3, index=index, view=2)
    draws = torch.stack([uniform(3, index, 2, draw) for draw in range(5)], 1).tolist()
    for i in range(COUNT):
        wanted = naive(augment, images[i].numpy(), draws[i])
        np.testing.assert_allclose(shown[i].numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_evaluation_only_normalises(channels: int) -> None:
    images = pictures(channels=channels)
    augment = Augment(MEAN[:channels], STD[:channels], crop=2, flip=True, cutout=3)
    wanted = images.double().permute(0, 3, 1, 2) / 255
    wanted = (wanted - torch.tensor(augment.mean).double()[:, None, None]) / torch.tensor(
        augment.std
    ).double()[:, None, None]
    torch.testing.assert_close(augment(images).double(), wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"crop": 1, "flip": True}, {"crop": 1, "cutout": 2}])
def test_batches_come_as_float32_in_channels_last(options: dict[str, int]) -> None:
    augment, images = Augment(MEAN, STD, **options), pictures()
    views = augment.view(images, seed=0, index=torch.arange(COUNT), view=0)
    for shown in (augment(images), views):
        assert shown.dtype == torch.float32
        assert shown.shape == (COUNT, 3, 9, 7)
        assert shown.is_contiguous(memory_format=torch.channels_last)


def test_the_table_is_not_written_to() -> None:
    images = pictures()
    before = images.clone()
    Augment(MEAN, STD, 2, True, 4).view(images, seed=0, index=torch.arange(COUNT), view=0)
    assert torch.equal(images, before)


def offsets(count: int, crop: int, flip: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where a single bright pixel went: row, column and mirrored, for many samples."""
    side = 6 * crop + 2
    image = torch.zeros(1, side, side, 2, dtype=torch.uint8)
    image[0, 3 * crop, 3 * crop, 0] = 255  # the place
    image[0, 3 * crop, 3 * crop + 1, 1] = 255  # its right neighbour
    augment = Augment((0.0, 0.0), (1.0, 1.0), crop=crop, flip=flip)
    index = torch.arange(count)
    shown = augment.view(image.expand(count, -1, -1, -1), seed=1, index=index, view=4)
    place, right = (shown[:, c].flatten(1).argmax(1) for c in range(2))
    mirrored = right < place
    columns = torch.where(mirrored, side - 1 - place % side, place % side)
    return place // side, columns, mirrored


def test_crops_and_flips_are_uniform_and_independent() -> None:
    rows, columns, mirrored = offsets(4000, 2, True)
    counts = torch.zeros(5, 5, 2).index_put_(
        (rows - rows.min(), columns - columns.min(), mirrored.long()),
        torch.ones(()),
        accumulate=True,
    )
    assert (rows.max() - rows.min(), columns.max() - columns.min()) == (4, 4)
    assert stats.chisquare(counts.flatten().numpy()).pvalue > 1e-4
    assert 0.47 < mirrored.float().mean() < 0.53


def test_one_option_never_moves_another() -> None:
    """A recording with and without cutout shows the same crops and flips."""
    images, index = pictures(), torch.arange(COUNT)
    both = Augment(MEAN, STD, 2, True, 3).view(images, seed=0, index=index, view=1)
    moved = Augment(MEAN, STD, 2, True).view(images, seed=0, index=index, view=1)
    assert ((both == moved) | (both == 0)).all()
    assert (both != moved).any()
