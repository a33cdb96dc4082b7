"""Operations on pixel values against Pillow, on batches in which each image has its strength."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from stillhouse.data import colours, policies

MADE = torch.Generator().manual_seed(0)
STRENGTHS = torch.tensor([0.1, 0.6, 1.0, 1.4, 1.9], dtype=torch.float64)


def pictures(count: int = 5, height: int = 12, width: int = 17, channels: int = 3) -> torch.Tensor:
    shape = (count, height, width, channels)
    return (torch.rand(shape, generator=MADE) ** 2 * 200 + 20).to(torch.uint8)


def pillow(images: torch.Tensor, apply) -> torch.Tensor:
    shown = [np.array(apply(Image.fromarray(each.numpy()), i)) for i, each in enumerate(images)]
    return torch.from_numpy(np.stack(shown))


@pytest.mark.parametrize(
    ("mine", "theirs", "off"),
    [
        # Pillow rounds grey, its mean and blends otherwise than torchvision: by a level or two.
        (colours.brightness, ImageEnhance.Brightness, 1),
        (colours.saturation, ImageEnhance.Color, 2),
        (colours.contrast, ImageEnhance.Contrast, 2),
        (colours.sharpness, ImageEnhance.Sharpness, 2),
    ],
)
def test_blends_are_those_of_pillow(mine, theirs, off: int) -> None:
    images = pictures()
    wanted = pillow(images, lambda image, i: theirs(image).enhance(float(STRENGTHS[i])))
    assert (mine(images, STRENGTHS).int() - wanted.int()).abs().max() <= off


@pytest.mark.parametrize(
    ("mine", "theirs", "values"),
    [
        (colours.posterize, ImageOps.posterize, [2, 3, 4, 7, 8]),
        (colours.solarize, ImageOps.solarize, [0, 50, 128, 200, 255]),
        (colours.equalize, lambda image, _: ImageOps.equalize(image), [0] * 5),
        (colours.autocontrast, lambda image, _: ImageOps.autocontrast(image), [0] * 5),
    ],
)
def test_tables_are_those_of_pillow(mine, theirs, values: list[int]) -> None:
    images = pictures(height=30, width=40)
    images[3] = 77  # nothing to stretch
    wanted = pillow(images, lambda image, i: theirs(image, values[i]))
    made = mine(images, torch.tensor(values, dtype=torch.float64))
    assert (made.int() - wanted.int()).abs().max() <= (mine is colours.autocontrast)


def test_hue_turns_as_colorsys() -> None:
    import colorsys

    images, turns = pictures(), torch.tensor([-0.5, -0.2, 0.0, 0.1, 0.45], dtype=torch.float64)
    made = colours.hue(images, turns)
    for i, turn in enumerate(turns.tolist()):
        for before, after in zip(images[i].reshape(-1, 3), made[i].reshape(-1, 3), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*(before.double() / 255).tolist())
            wanted = 255 * torch.tensor(colorsys.hsv_to_rgb((h + turn) % 1, s, v))
            assert (after - wanted).abs().max() <= 1


@pytest.mark.parametrize("name", ["shear_across", "shear_down", "turn", "shift_down"])
def test_moves_equal_a_loop_over_pixels(name: str) -> None:
    images = pictures(2, 9, 7)
    strength = torch.tensor([0.31, -0.77], dtype=torch.float64) * (40 if name == "turn" else 3)
    strength = strength / (10 if "shear" in name else 1)
    made = getattr(policies, name)(images, strength)
    for i, s in enumerate(strength.tolist()):
        for row in range(9):
            for column in range(7):
                x, y = column - 3.0, row - 4.0
                r = np.deg2rad(s)
                to_row, to_column = {
                    "shear_across": (row, column + s * (row + 0.5)),
                    "shear_down": (row + s * (column + 0.5), column),
                    "shift_down": (row - int(s), column),
                    "turn": (4 + np.sin(r) * x + np.cos(r) * y, 3 + np.cos(r) * x - np.sin(r) * y),
                }[name]
                at, across = round(to_row), round(to_column)
                seen = 0 <= at < 9 and 0 <= across < 7
                wanted = images[i, at, across].tolist() if seen else [0, 0, 0]
                assert made[i, row, column].tolist() == wanted
