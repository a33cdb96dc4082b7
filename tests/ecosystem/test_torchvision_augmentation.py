"""Each operation of the augmentation gives the bytes that torchvision gives."""

from collections import Counter

import pytest
import torch
import torchvision.transforms as reference
import torchvision.transforms.functional as F
from torchvision.transforms.autoaugment import _apply_op

from stillhouse.data import boxes, colours, policies

pytestmark = pytest.mark.ecosystem

NAMES = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color",
    "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
MOVED = NAMES[1:6]


def pictures(channels: int = 3, height: int = 24, width: int = 32) -> torch.Tensor:
    """Noise, a smooth picture, a flat one, and one of few values: [4, H, W, C]."""
    made = torch.Generator().manual_seed(0)
    shape = (height, width, channels)
    noise = torch.randint(0, 256, shape, generator=made)
    coarse = torch.randint(0, 256, (1, channels, 4, 4), generator=made).float()
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]
    few = torch.randint(100, 103, shape, generator=made)
    flat = torch.full(shape, 77)
    return torch.stack([noise, smooth.permute(1, 2, 0).long(), flat, few]).to(torch.uint8)


def one_by_one(images: torch.Tensor, apply) -> torch.Tensor:
    """The reference on each image."""
    shown = [apply(image) for image in images.permute(0, 3, 1, 2)]
    return torch.stack(shown).permute(0, 2, 3, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mine", "theirs", "values"),
    [
        (colours.brightness, F.adjust_brightness, (0, 0.3, 1, 1.7)),
        (colours.contrast, F.adjust_contrast, (0, 0.3, 1, 1.7)),
        (colours.saturation, F.adjust_saturation, (0, 0.3, 1, 1.7)),
        (colours.sharpness, F.adjust_sharpness, (0, 0.3, 1, 1.7)),
        (colours.hue, F.adjust_hue, (-0.5, -0.13, 0, 0.04, 0.5)),
        (colours.posterize, F.posterize, (2, 5, 8)),
        (colours.solarize, F.solarize, (0, 119.0, 255)),
    ],
)
def test_colours_equal_torchvision(mine, theirs, values, channels: int) -> None:
    images = pictures(channels)
    for value in values:
        wanted = one_by_one(images, lambda image, value=value: theirs(image, value))
        made = mine(images, torch.full((4,), value, dtype=torch.float64))
        assert torch.equal(made, wanted), value


@pytest.mark.parametrize("space", ["rand", "trivial"])
@pytest.mark.parametrize("name", NAMES)
def test_operations_of_the_policies_equal_torchvision(space: str, name: str) -> None:
    """All bins and both signs; moved pixels halfway between two may go to either."""
    images, height, width = pictures(), 24, 32
    if space == "rand":
        mine = policies.RAND_AUGMENT
        table = reference.RandAugment()._augmentation_space(31, (height, width))
    else:
        mine = policies.TRIVIAL_WIDE
        table = reference.TrivialAugmentWide()._augmentation_space(31)
    magnitudes, signed = table[name]
    which = torch.full((4,), NAMES.index(name))
    differ = total = 0
    for bin_ in range(31) if magnitudes.ndim else (0,):
        for negative in (False, True) if signed else (False,):
            strength = float(magnitudes[bin_] if magnitudes.ndim else magnitudes)
            strength *= -1 if negative else 1
            wanted = one_by_one(
                images,
                lambda image, strength=strength: _apply_op(
                    image, name, strength, F.InterpolationMode.NEAREST, None
                ),
            )
            made = policies.apply_choice(
                images, mine, which, torch.full((4,), bin_), torch.full((4,), negative)
            )
            differ += int((made != wanted).sum())
            total += made.numel()
    assert differ <= (0.005 * total if name in MOVED else 0)


def test_resized_boxes_equal_torchvision() -> None:
    images = pictures()
    places = torch.tensor([[0, 0, 24, 32], [3, 5, 1, 1], [7, 2, 10, 30], [23, 0, 1, 32]])
    made = boxes.resized(images, places)
    floats = boxes.resized(images.float(), places)
    for i, (top, left, tall, across) in enumerate(places.tolist()):
        image = images[i].permute(2, 0, 1)
        wanted = F.resized_crop(image, top, left, tall, across, [24, 32], antialias=True)
        assert (made[i].permute(2, 0, 1).int() - wanted.int()).abs().max() <= 1
        exact = F.resized_crop(image.float(), top, left, tall, across, [24, 32], antialias=True)
        torch.testing.assert_close(floats[i].permute(2, 0, 1), exact, atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [(32, 32), (20, 50)])
def test_boxes_are_distributed_as_in_torchvision(size: tuple[int, int]) -> None:
    """Mean and spread of each side and place, of crops and of what is erased."""
    count, image = 4000, torch.zeros(3, *size)
    index, draws = torch.arange(count), range(boxes.BOX_DRAWS)
    crop, erase = (0.08, 1.0), (0.02, 0.33)
    torch.manual_seed(0)
    theirs = [
        reference.RandomResizedCrop.get_params(image, list(crop), [3 / 4, 4 / 3])
        for _ in range(count)
    ]
    made, fits = boxes.random_boxes(
        size, seed=1, index=index, view=0, draws=draws, area=crop, ratio=(3 / 4, 4 / 3)
    )
    middle = torch.tensor(boxes.central_box(size, (3 / 4, 4 / 3)))
    check_alike(torch.where(fits[:, None], made, middle), torch.tensor(theirs))
    cut = [
        reference.RandomErasing.get_params(image, erase, (0.3, 3.3), [0.0]) for _ in range(count)
    ]
    made, fits = boxes.random_boxes(
        size, seed=1, index=index, view=0, draws=draws, area=erase, ratio=(0.3, 3.3), whole=False
    )
    assert fits.all()
    check_alike(made, torch.tensor([each[:4] for each in cut]))


def check_alike(mine: torch.Tensor, theirs: torch.Tensor) -> None:
    a, b = mine.double(), theirs.double()
    error = ((a.var(0) + b.var(0)) / len(a)).sqrt()
    assert ((a.mean(0) - b.mean(0)).abs() < 4.5 * error).all()
    assert ((a.std(0) / b.std(0) - 1).abs() < 0.06).all()


def test_a_box_that_cannot_fit_is_the_one_of_torchvision() -> None:
    for size in ((4, 100), (100, 4), (10, 11)):
        torch.manual_seed(0)
        theirs = reference.RandomResizedCrop.get_params(
            torch.zeros(3, *size), [2.0, 2.0], [3 / 4, 4 / 3]
        )
        assert boxes.central_box(size, (3 / 4, 4 / 3)) == list(theirs)


def test_names_are_those_of_torchvision() -> None:
    """The same operations, each as often, in the same order."""
    table = reference.TrivialAugmentWide()._augmentation_space(31)
    assert tuple(table) == NAMES
    assert len(policies.RAND_AUGMENT) == len(policies.TRIVIAL_WIDE) == len(Counter(NAMES))
