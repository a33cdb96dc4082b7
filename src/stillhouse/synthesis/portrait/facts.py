"""Facts: the numbers of a portrait, as they are written to transfer.json and checked when read."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FORMAT = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Counted(_Frozen):
    """The balance: what the teacher says of the images, counted; see `Balance.described`."""

    images: int
    given: list[int]
    smallest_class: int
    largest_class: int
    given_perplexity: float
    temperature: float = Field(gt=0)
    steps_mean: float
    asked: list[int] | None = None
    given_is_asked: float | None = None


class Pixels(_Frozen):
    """Values of all pixels of the set, in the teacher's units."""

    low: float
    high: float
    mean: float
    std: float


class Group(_Frozen):
    """The images of one beta; None: of none.

    Args:
        beta: of the Dirichlet distribution that their targets were drawn from.
        images: how many.
        target, achieved: mean of the largest probability; no target where none was asked for.
        gap: quantiles of KL(target, achieved), nats, by name.
    """

    beta: float | None
    images: int
    achieved: float
    target: float | None = None
    gap: dict[str, float] | None = None


class Impression(_Frozen):
    """One image of the gallery, and the training image nearest to it.

    Args:
        row: its number in the set.
        given: the class that the teacher gives it.
        asked: the class that was asked for; None for none.
        confidence: the teacher's largest probability, at the temperature of the synthesis.
        label, distance, likeness: of the nearest training image: its class, the Euclidean distance
            of pixels standardised per image, and their correlation ``1 - distance^2 / (2 D)``.
    """

    row: int
    given: int
    asked: int | None
    confidence: float
    label: int | None = None
    distance: float | None = None
    likeness: float | None = None


class Facts(_Frozen):
    """All numbers and words of a portrait.

    Args:
        count: images that are meant: the first of the set; made: images of the set.
        seconds: that these took.
        fingerprint: of the set.
        target_peak, achieved_peak: mean of the largest probability for each given class; None for a
            class without images, or where no target was asked for.
        shown: the classes of the gallery.
        compared: how many training images the gallery was compared with.
    """

    format: int = Field(FORMAT, ge=FORMAT, le=FORMAT)
    method: str
    settings: dict[str, Any]
    teacher: str
    seed: int
    image_shape: tuple[int, int, int]
    fingerprint: str
    count: int = Field(ge=1)
    made: int
    seconds: float
    images_per_second: float
    classes: list[str]
    balance: Counted
    pixels: Pixels
    groups: list[Group]
    target_peak: list[float | None]
    achieved_peak: list[float | None]
    shown: list[int]
    impressions: list[Impression]
    compared: int = 0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Every list of classes is as long as the others, and every class is one of them."""
        classes = len(self.classes)
        lists = (self.balance.given, self.target_peak, self.achieved_peak)
        if {len(each) for each in lists} != {classes}:
            raise ValueError(f"{classes} classes, and lists of other lengths")
        if self.balance.asked is not None and len(self.balance.asked) != classes:
            raise ValueError(f"{classes} classes, and a list of other length")
        named = [*self.shown, *(one.given for one in self.impressions)]
        named += [one.label for one in self.impressions if one.label is not None]
        named += [one.asked for one in self.impressions if one.asked is not None]
        if named and not 0 <= min(named) <= max(named) < classes:
            raise ValueError(f"a class outside 0..{classes - 1}")
        return self


def first_problem(error: ValidationError) -> str:
    """The first thing that does not fit, in a few words."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
