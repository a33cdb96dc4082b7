"""Several operations on each image, drawn: colour jitter, RandAugment, TrivialAugmentWide."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.data import colours
from stillhouse.data.colours import Operation
from stillhouse.data.views import uniforms

BINS = 31
"""Strengths of an operation, of which the first is the weakest."""


def shear_across(images: Tensor, strength: Tensor) -> Tensor:
    """Move each row to the left by so many pixels a row, from the upper edge on."""
    return _nearest(images, across=(1, strength, 0), down=(0, 1, 0), corner=True)


def shear_down(images: Tensor, strength: Tensor) -> Tensor:
    """Move each column upwards by so many pixels a column, from the left edge on."""
    return _nearest(images, across=(1, 0, 0), down=(strength, 1, 0), corner=True)


def shift_across(images: Tensor, strength: Tensor) -> Tensor:
    """Shift to the right by whole pixels, rounded towards 0.

    >>> images = torch.tensor([1, 2, 3], dtype=torch.uint8).reshape(1, 1, 3, 1)
    >>> shift_across(images, torch.tensor([1.9])).flatten().tolist()
    [0, 1, 2]
    """
    return _nearest(images, across=(1, 0, -strength.trunc()), down=(0, 1, 0))


def shift_down(images: Tensor, strength: Tensor) -> Tensor:
    """Shift downwards by whole pixels, rounded towards 0."""
    return _nearest(images, across=(1, 0, 0), down=(0, 1, -strength.trunc()))


def turn(images: Tensor, strength: Tensor) -> Tensor:
    """Turn about the middle by so many degrees, counter-clockwise."""
    radians = strength.double().deg2rad()
    cosine, sine = radians.cos(), radians.sin()
    return _nearest(images, across=(cosine, -sine, 0), down=(sine, cosine, 0))


Row = tuple[Tensor | float, Tensor | float, Tensor | float]


def _nearest(images: Tensor, *, across: Row, down: Row, corner: bool = False) -> Tensor:
    """The pixel nearest to where each comes from; black from outside.

    ``from_x = across . (x, y, 1)``, ``from_y = down . (x, y, 1)`` in pixels from the middle, or
    from the upper left corner.
    """
    count, height, width, _ = images.shape
    half = (0.0, 0.0) if corner else (height / 2, width / 2)
    places = [
        torch.arange(side, device=images.device, dtype=torch.float64) + 0.5 - middle
        for side, middle in zip((height, width), half, strict=True)
    ]
    y, x = places[0][None, :, None], places[1][None, None, :]

    def source(row: Row, middle: float, side: int) -> tuple[Tensor, Tensor]:
        a, b, c = (v.double()[:, None, None] if isinstance(v, Tensor) else v for v in row)
        at = (a * x + b * y + c + (middle - 0.5)).round().long().expand(count, height, width)
        return at.clamp(0, side - 1), (at >= 0) & (at < side)

    rows, row_in = source(down, half[0], height)
    columns, column_in = source(across, half[1], width)
    sample = torch.arange(count, device=images.device)[:, None, None]
    return images[sample, rows, columns] * (row_in & column_in)[..., None]


Strengths = Callable[[tuple[int, int]], Tensor]


@dataclass(frozen=True)
class Choice:
    """One operation that a policy may draw.

    Args:
        apply: the operation; None leaves the image as it is.
        strengths: of (height, width), the strength of each of the 31 bins, float32 as torchvision
            has them: a product such as 1.3 * 100 is rounded down.
        signed: whether half of the images get the negative strength.
        about: what the signed strength is added to.
    """

    apply: Operation | None
    strengths: Strengths = lambda _: torch.zeros(BINS)
    signed: bool = False
    about: float = 0.0


def _up_to(most: float) -> Strengths:
    return lambda _: torch.linspace(0, most, BINS)


def _space(
    shear: float,
    across: Strengths,
    down: Strengths,
    degrees: float,
    factor: float,
    bits: float,
) -> tuple[Choice, ...]:
    """The 14 operations with their largest strengths."""
    blends = (colours.brightness, colours.saturation, colours.contrast, colours.sharpness)
    return (
        Choice(None),
        Choice(shear_across, _up_to(shear), signed=True),
        Choice(shear_down, _up_to(shear), signed=True),
        Choice(shift_across, across, signed=True),
        Choice(shift_down, down, signed=True),
        Choice(turn, _up_to(degrees), signed=True),
        *(Choice(blend, _up_to(factor), signed=True, about=1.0) for blend in blends),
        Choice(colours.posterize, lambda _: 8 - (torch.arange(BINS) / ((BINS - 1) / bits)).round()),
        Choice(colours.solarize, lambda _: torch.linspace(255, 0, BINS)),
        Choice(colours.autocontrast),
        Choice(colours.equalize),
    )


RAND_AUGMENT = _space(
    shear=0.3,
    across=lambda size: torch.linspace(0, 150 / 331 * size[1], BINS),
    down=lambda size: torch.linspace(0, 150 / 331 * size[0], BINS),
    degrees=30,
    factor=0.9,
    bits=4,
)
"""Cubuk et al., arXiv 1909.13719, as torchvision has it: 14 operations, no inversion."""

TRIVIAL_WIDE = _space(
    shear=0.99, across=_up_to(32), down=_up_to(32), degrees=135, factor=0.99, bits=6
)
"""Müller & Hutter, arXiv 2103.10158: the wide space; shifts are of pixels, whatever the size."""


def apply_choice(
    images: Tensor, space: Sequence[Choice], which: Tensor, bins: Tensor, negative: Tensor
) -> Tensor:
    """One operation on each image.

    Shapes:
        images: uint8 [B, H, W, C]; which: int64 [B], a place in the space; bins: int64 [B], 0..30;
            negative: bool [B]; returns uint8 [B, H, W, C].
    """
    size = (images.shape[1], images.shape[2])
    made = images.clone()
    for choice, rows in zip(space, _groups(which, len(space)), strict=True):
        if choice.apply is None or not len(rows):
            continue
        strength = choice.strengths(size).double().to(images.device)[bins[rows]]
        if choice.signed:
            strength = choice.about + torch.where(negative[rows], -strength, strength)
        made[rows] = choice.apply(images[rows], strength)
    return made


def _groups(which: Tensor, kinds: int) -> list[Tensor]:
    """The rows of each kind; one look at the device for all."""
    counts = (which[None] == torch.arange(kinds, device=which.device)[:, None]).sum(1)
    return list(which.argsort(dim=0, stable=True).split(counts.tolist()))


def rand_augment(
    images: Tensor, *, seed: int, index: Tensor, view: int, draws: Sequence[int], magnitude: int
) -> Tensor:
    """As many operations, one after another, as there are pairs of draws; all of one magnitude.

    Operations are drawn with replacement. A pure function of (seed, index, view).
    """
    bins = torch.full_like(index, magnitude)
    for operation, sign in zip(draws[::2], draws[1::2], strict=True):
        drawn = uniforms(seed, index, view, (operation, sign))
        which = (drawn[0] * len(RAND_AUGMENT)).long()
        images = apply_choice(images, RAND_AUGMENT, which, bins, drawn[1] < 0.5)
    return images


def trivial_augment(
    images: Tensor, *, seed: int, index: Tensor, view: int, draws: tuple[int, int, int]
) -> Tensor:
    """One operation of any magnitude, all as likely; a pure function of (seed, index, view)."""
    drawn = uniforms(seed, index, view, draws)
    which = (drawn[0] * len(TRIVIAL_WIDE)).long()
    bins = (drawn[1] * BINS).long()
    return apply_choice(images, TRIVIAL_WIDE, which, bins, drawn[2] < 0.5)


JITTER: tuple[Operation, ...] = (
    colours.brightness,
    colours.contrast,
    colours.saturation,
    colours.hue,
)


def jitter(
    images: Tensor,
    *,
    seed: int,
    index: Tensor,
    view: int,
    draws: Sequence[int],
    most: tuple[float, float, float, float],
) -> Tensor:
    """Brightness, contrast, saturation and hue, in an order of each image's own.

    The first three are multiplied by ``uniform(max(0, 1 - most), 1 + most)``, hue is turned by
    ``uniform(-most, most)``; what has 0 is left out. A pure function of (seed, index, view).

    Args:
        draws: eight numbers: the strengths of the four, then their places in the order.
        most: for brightness, contrast, saturation, hue.
    """
    drawn = uniforms(seed, index, view, draws).double()
    order = drawn[4:].argsort(dim=0, stable=True)
    for which in order:
        made = images.clone()
        for kind, rows in enumerate(_groups(which, len(JITTER))):
            if not most[kind] or not len(rows):
                continue
            if JITTER[kind] is colours.hue:
                low, high = -most[kind], most[kind]
            else:
                low, high = max(0.0, 1 - most[kind]), 1 + most[kind]
            strength = low + (high - low) * drawn[kind, rows]
            made[rows] = JITTER[kind](images[rows], strength)
        images = made
    return images
