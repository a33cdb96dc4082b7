"""Augmentation in a recipe: of the data, and of a transfer set."""

from typing import Annotated, Any

from pydantic import Field

from stillhouse.errors import nearest
from stillhouse.recipes.networks import Section

Pixels = Annotated[int, Field(ge=0)]

USUAL: dict[str, Any] = {
    "crop": 4, "flip": True, "cutout": 8, "rotate": 15.0, "shift": 4.0, "scale": 1.2,
    "blur": 1.5, "fade": 0.2,
}  # fmt: skip
"""What a word of a list stands for."""


class AugmentSection(Section):
    """Augmentation of training images, see `data.augment.Augment`.

    ``crop``, ``cutout``, ``shift``, ``blur``: pixels; ``rotate``: degrees; ``scale``, ``fade``:
    factors.
    """

    crop: Pixels = 0
    flip: bool = False
    cutout: Pixels = 0
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    shift: Annotated[float, Field(ge=0)] = 0.0
    scale: Annotated[float, Field(ge=1)] = 1.0
    blur: Annotated[float, Field(ge=0)] = 0.0
    fade: Annotated[float, Field(gt=0, le=1)] = 1.0


def augment_words(value: Any) -> Any:
    """``[crop, flip]`` is short for ``{crop: 4, flip: true}``; ``none`` for all off.

    >>> augment_words(["flip", "rotate"])
    {'flip': True, 'rotate': 15.0}
    """
    if value == "none":
        return {}
    names = [value] if isinstance(value, str) and value != "auto" else value
    if isinstance(names, list):
        unknown = [name for name in names if name not in USUAL]
        if unknown:
            raise ValueError(f"no augmentation '{unknown[0]}'; {nearest(str(unknown[0]), USUAL)}")
        return {name: USUAL[name] for name in names}
    return value
