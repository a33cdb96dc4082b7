"""Augmentation of whole batches equals a loop over images that uses the same draws."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

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
    """A teacher cache with and without cutout shows the same crops and flips."""
    images, index = pictures(), torch.arange(COUNT)
    both = Augment(MEAN, STD, 2, True, 3).view(images, seed=0, index=index, view=1)
    moved = Augment(MEAN, STD, 2, True).view(images, seed=0, index=index, view=1)
    assert ((both == moved) | (both == 0)).all()
    assert (both != moved).any()


@pytest.mark.parametrize("bytes_", [True, False])
def test_affine_views_equal_a_loop_over_pixels(bytes_: bool) -> None:
    """Each pixel of the result looks back at where it came from, between four neighbours."""
    augment = Augment((0.5,), (0.25,), rotate=40, shift=2.5, scale=1.4)
    images, index = pictures(channels=1)[:5], torch.arange(5)
    images = images if bytes_ else images.float() / 255
    shown = augment.view(images, seed=1, index=index, view=2)
    for i in range(5):
        angle, size, right, down = (
            2 * float(uniform(1, index[i : i + 1], 2, draw)) - 1 for draw in range(5, 9)
        )
        picture = images[i, :, :, 0].double() / (255 if bytes_ else 1)
        wanted = naive_affine(
            picture.numpy(), np.deg2rad(40) * angle, 1.4**size, 2.5 * right, 2.5 * down
        )
        np.testing.assert_allclose(shown[i, 0].numpy(), (wanted - 0.5) / 0.25, atol=2e-4)


def naive_affine(
    image: np.ndarray, angle: float, size: float, right: float, down: float
) -> np.ndarray:
    """One image, pixel by pixel; zero outside."""
    height, width = image.shape
    result = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            x, y = column - (width - 1) / 2 - right, row - (height - 1) / 2 - down
            # Counter-clockwise on a screen, whose rows grow downwards.
            back_x = (np.cos(angle) * x - np.sin(angle) * y) / size + (width - 1) / 2
            back_y = (np.sin(angle) * x + np.cos(angle) * y) / size + (height - 1) / 2
            left, top = int(np.floor(back_x)), int(np.floor(back_y))
            for at_y, at_x in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                if 0 <= at_y < height and 0 <= at_x < width:
                    near = (1 - abs(back_y - at_y)) * (1 - abs(back_x - at_x))
                    result[row, column] += near * image[at_y, at_x]
    return result


def test_affine_views_move_no_other_draw() -> None:
    images, index = pictures(), torch.arange(COUNT)
    moved = Augment(MEAN, STD, 2, True).view(images, seed=0, index=index, view=1)
    still = Augment(MEAN, STD, 2, True, rotate=1e-9).view(images, seed=0, index=index, view=1)
    torch.testing.assert_close(moved, still, atol=1e-4, rtol=1e-4)
    assert still.is_contiguous(memory_format=torch.channels_last)


def test_blurred_views_equal_scipy() -> None:
    augment = Augment((0.5,), (0.25,), blur=1.5)
    images, index = pictures(channels=1)[:5], torch.arange(5)
    shown = augment.view(images, seed=1, index=index, view=2)
    for i in range(5):
        sigma = 1.5 * float(uniform(1, index[i : i + 1], 2, 9))
        wanted = ndimage.gaussian_filter(
            images[i, :, :, 0].double().numpy() / 255, sigma, mode="nearest", radius=4
        )
        np.testing.assert_allclose(shown[i, 0].numpy(), (wanted - 0.5) / 0.25, atol=1e-4)


def test_colours_are_blurred_alike() -> None:
    augment = Augment(MEAN, STD, blur=2.0)
    grey = pictures(channels=1).expand(-1, -1, -1, 3).contiguous()
    shown = augment.view(grey, seed=0, index=torch.arange(COUNT), view=0)
    pixels = shown * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    torch.testing.assert_close(pixels[:, 0], pixels[:, 2], atol=1e-5, rtol=1e-5)


def test_faded_views_are_multiplied_before_they_are_normalised() -> None:
    augment = Augment(MEAN, STD, fade=0.2)
    images, index = pictures(), torch.arange(COUNT)
    shown = augment.view(images, seed=1, index=index, view=2).double()
    drawn = uniform(1, index, 2, 10).double()[:, None, None, None]
    pixels = images.permute(0, 3, 1, 2).double() / 255 * torch.exp(drawn * np.log(0.2))
    wanted = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(shown, wanted, atol=1e-5, rtol=1e-5)
