"""What the augmentation of a recipe means for the images of a run, and what they cannot have."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.load import Splits
from stillhouse.data.pixels import CHANNELS, to_pixels
from stillhouse.data.samples import mean_std_of
from stillhouse.data.tables import Images, ImageTable, Table, images_of, is_decoded_here
from stillhouse.errors import RecipeError
from stillhouse.recipes.data import AugmentSection, DataSection

LEAST_STD = 1 / 255
"""A channel that never changes is divided by one grey level, not by zero."""
SIZED = {"crop", "cutout", "shift", "blur"}
"""Augmentations in pixels."""
MIXED = {"mixup", "cutmix"}
"""Augmentations that want a second image."""


def settle_augment(
    section: DataSection, splits: Splits, transform: Callable[[Any], Tensor] | None = None
) -> Augment:
    """What ``augment: auto`` means for these images, and their mean and std.

    Images that are read from files or arrays, whether they lie in memory or are decoded on each
    read: colour ones pad-crop by 4 and flip (the CIFAR recipe); grey ones, which are mostly digits
    and letters, pad-crop by a fourteenth of the shorter side (2 of 28), never a flip. Datasets of
    one's own (which may augment by themselves) without ``data.size``, and what a transform makes:
    nothing. Floats are taken as they are, so they have mean 0 and std 1; what is asked for is
    applied to them, too, and what is padded is 0.

    Raises:
        RecipeError: augmentation beside a transform, which takes its place in all but mixing, for
            which a single image does not do; or mixing of a single row.
    """
    table, written = images_of(splits.train, "augment (data.augment)"), _written(section)
    if transform is not None and section.load_size is not None:
        said = "a transform cuts its own images, and evaluation has its own; leave load_size out"
        raise RecipeError("data.load_size", [said])
    _check_partners(written, table)
    if transform is not None:
        written = beside_transform(written, "data")
    mean, std = mean_std_of(table, transformed=transform is not None)
    std = tuple(max(value, LEAST_STD) for value in std)
    if transform is None:
        check_images_fit(written, table, "data.augment", shown=section.load_size and section.size)
    told = (written or _usual(table, section.load_size and section.size)).model_dump()
    augment = Augment(mean, std, **told)
    if section.load_size is None or section.size is None:
        return augment
    return replace(augment, size=section.size, resize=section.resize)


def beside_transform(augment: AugmentSection | None, key: str) -> AugmentSection:
    """What of an augmentation is left where a transform makes the images: how they are mixed.

    Raises:
        RecipeError: there is more of it.
    """
    if augment is None:
        return AugmentSection()
    asked = augment.model_dump(exclude=MIXED, exclude_defaults=True)
    if asked:
        said = f"a transform takes the place of augment ({', '.join(asked)}), so it would not "
        raise RecipeError(key, [f"{said}be applied; write 'augment: none', or leave out one"])
    return AugmentSection(**augment.model_dump(include=MIXED))


def _usual(table: Images, shown: int | None = None) -> AugmentSection:
    """What ``augment: auto`` means for images that nobody made ready."""
    if isinstance(table, ImageTable):
        height, width, channels = table.height, table.width, table.channels
    elif is_decoded_here(table.dataset):
        channels, height, width = to_pixels(table.read(0), table.where(0)).shape
    else:
        return AugmentSection()
    if channels == 1:
        return AugmentSection(crop=max(round((shown or min(height, width)) / 14), 1))
    return AugmentSection(crop=4, flip=True)


def check_images_fit(
    augment: AugmentSection | None, table: Images, key: str, *, shown: int | None = None
) -> None:
    """Augmentation that these images cannot have; ``shown``: their side where more is held.

    A crop or a shift by more than an image shows nothing of it; colours are those of grey or RGB
    pixels, and a grey image has neither hue nor saturation.

    Raises:
        RecipeError: what does not fit.
    """
    if augment is None or not len(table):
        return
    sides = (table.height, table.width) if isinstance(table, ImageTable) else None
    sides = sides if shown is None else (shown, shown)
    problems = [] if sides is None else _side_problems(augment, sides)
    asked = Augment((), (), **augment.model_dump()).of_colours
    if asked:
        problems += _colour_problems(asked, table)
    if problems:
        raise RecipeError(key, problems)


def _check_partners(augment: AugmentSection | None, table: Table) -> None:
    asked = (
        [] if augment is None else sorted(augment.model_dump(include=MIXED, exclude_defaults=True))
    )
    if asked and len(table) < 2:
        said = f"{' and '.join(asked)} mix an image with another training row, and there is "
        raise RecipeError("data.augment", [f"{said}{len(table)}; leave it out, or give more rows"])


def _side_problems(augment: AugmentSection, sides: tuple[int, int]) -> list[str]:
    side = min(sides)
    images = f"the images are {sides[0]} x {sides[1]}"
    return [
        f"{key} is {value:g}, and {images}; give at most {side}"
        for key, value in augment.model_dump(include=SIZED).items()
        if value > side
    ]


def _colour_problems(asked: list[str], table: Images) -> list[str]:
    if isinstance(table, ImageTable):
        pixels, channels = table.images.dtype == torch.uint8, table.channels
    else:
        image = to_pixels(table.read(0), table.where(0))
        pixels, channels = image.dtype == torch.uint8, image.shape[0]
    if not pixels or channels not in CHANNELS:
        what = f"pixels with {channels} channels" if pixels else "floats, no pixels"
        return [f"{', '.join(asked)}: these are for grey or RGB pixels, and the images are {what}"]
    without = [name for name in asked if name in ("hue", "saturation")]
    if channels == 1 and without:
        said = f"{', '.join(without)}: the images are grey, which has none"
        return [f"{said}; give brightness and contrast alone"]
    return []


def _written(section: DataSection) -> AugmentSection | None:
    return section.augment if isinstance(section.augment, AugmentSection) else None
