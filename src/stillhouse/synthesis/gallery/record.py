"""The gallery of a transfer set: its numbers and pictures, and the two files that hold them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor

from stillhouse.errors import DataError, RunError
from stillhouse.records.files import save_tensors, write_json

FORMAT = 1
FACTS, PICTURES = "transfer.json", "transfer.safetensors"
_REQUIRED = ("impression", "achieved")
_ARRAYS = (*_REQUIRED, "nearest", "target", "similarity")
_ADVICE = "delete transfer.json and transfer.safetensors, and have them made again"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class BalanceFacts(_Record):
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


class PixelRange(_Record):
    """Values of all pixels of the set, in the teacher's units."""

    low: float
    high: float
    mean: float
    std: float


class BetaGroup(_Record):
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


class Impression(_Record):
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


class GalleryFacts(_Record):
    """All numbers and words of a gallery.

    Args:
        count: images that are meant: the first of the set.
        made: images of the set.
        seconds: that the images which are meant took.
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
    balance: BalanceFacts
    pixels: PixelRange
    groups: list[BetaGroup]
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


@dataclass(frozen=True, eq=False)
class Gallery:
    """What a report shows of a transfer set.

    Shapes:
        impression, nearest: [n, 1 or 3, h, w] uint8, one for each of ``facts.impressions``;
        target, achieved: [G, K], mean of sorted probabilities, one row for each of
        ``facts.groups``; similarity: [K, K]. None where there is none.

    Args:
        facts: numbers and words.
        impression, nearest: pictures of images of the set, and of the training images nearest.
        achieved, target: what the teacher says, and what it was to say.
        similarity: of the classes, as the targets were drawn from.
    """

    facts: GalleryFacts
    impression: Tensor
    achieved: Tensor
    nearest: Tensor | None = None
    target: Tensor | None = None
    similarity: Tensor | None = None

    def write(self, folder: str | Path) -> None:
        """Write both files into a directory; the numbers last.

        Raises:
            RunError: the directory cannot be written to.
        """
        values = {name: getattr(self, name) for name in _ARRAYS}
        arrays = {name: value for name, value in values.items() if value is not None}
        try:
            save_tensors(Path(folder) / PICTURES, arrays, _mark(self.facts))
            write_json(Path(folder) / FACTS, self.facts.model_dump(mode="json"))
        except OSError as error:
            raise RunError(
                f"{folder} cannot be written to ({error}); make room, or make it writable"
            ) from error


def read_gallery(folder: str | Path) -> Gallery:
    """Read both files of a gallery.

    Raises:
        DataError: a file is missing or damaged, or the two do not belong together.
    """
    from safetensors import SafetensorError, safe_open

    facts, arrays = Path(folder) / FACTS, Path(folder) / PICTURES
    try:
        found = GalleryFacts.model_validate_json(facts.read_bytes())
        with safe_open(arrays, framework="pt") as file:
            mark = json.loads((file.metadata() or {}).get("stillhouse", "{}"))
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except ValidationError as error:
        raise DataError(f"{facts} is damaged ({first_problem(error)}); {_ADVICE}") from None
    except (SafetensorError, ValueError, OSError) as error:
        raise DataError(f"the gallery in {folder} cannot be read ({error}); {_ADVICE}") from None
    problem = _problem(found, held)
    if mark != _mark(found) or problem:
        raise DataError(f"{arrays} does not belong to {facts.name}: {problem or mark}; {_ADVICE}")
    return Gallery(found, **held)


def _mark(facts: GalleryFacts) -> dict[str, str]:
    return {"fingerprint": facts.fingerprint, "count": str(facts.count)}


def _problem(facts: GalleryFacts, held: dict[str, Tensor]) -> str:
    """What of the arrays does not fit the numbers; empty when all do."""
    shown, groups, classes = len(facts.impressions), len(facts.groups), len(facts.classes)
    wanted = {
        "target": (groups, classes),
        "achieved": (groups, classes),
        "similarity": (classes, classes),
    }
    for name in (*_REQUIRED, *held):
        if name not in held or name not in _ARRAYS:
            return f"'{name}' is {'missing' if name in _REQUIRED else 'unknown'}"
        shape = tuple(held[name].shape)
        if name in wanted:
            fits = shape == wanted[name] and held[name].is_floating_point()
        else:
            fits = len(shape) == 4 and shape[0] == shown and shape[1] in (1, 3)
            fits &= str(held[name].dtype) == "torch.uint8" and min(shape[2:], default=0) > 0
        if not fits:
            return f"'{name}' is {list(shape)}"
    return ""
