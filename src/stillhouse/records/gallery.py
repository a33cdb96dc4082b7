"""The gallery of a synthesis: what a reader wants to see of a transfer set, in two small files.

transfer.json holds the numbers, transfer.safetensors the pictures and curves beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from stillhouse.errors import DataError, StillhouseError
from stillhouse.faults import system_faults
from stillhouse.records.schema import Record, RecordFile

if TYPE_CHECKING:
    from torch import Tensor

FACTS, PICTURES = "transfer.json", "transfer.safetensors"
AGAIN = "delete transfer.json and transfer.safetensors, and have them made again"
_NEEDED = ("impression", "achieved")
_ARRAYS = (*_NEEDED, "nearest", "target", "similarity")


class ClassBalance(Record):
    """What the teacher says of the images, counted by class; of a longer description this part."""

    model_config = ConfigDict(extra="ignore")

    images: int
    given: list[int]
    smallest_class: int
    largest_class: int
    given_perplexity: float
    temperature: float = Field(gt=0)
    steps_mean: float
    asked: list[int] | None = None
    given_is_asked: float | None = None


class PixelRange(Record):
    """Values of all pixels of the set, in the teacher's units."""

    low: float
    high: float
    mean: float
    std: float


class BetaGroup(Record):
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


class Impression(Record):
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


class GalleryFacts(RecordFile):
    """transfer.json: all numbers and words of a gallery.

    Args:
        count: images that are meant: the first of the set; made: images of the set.
        seconds: that these took.
        fingerprint: of the set.
        target_peak, achieved_peak: mean of the largest probability for each given class; None for a
            class without images, or where no target was asked for.
        shown: the classes of the gallery.
        compared: how many training images the gallery was compared with.
    """

    AGAIN: ClassVar[str] = AGAIN
    ERROR: ClassVar[type[StillhouseError]] = DataError

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
    balance: ClassBalance
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
        lists: list[Sequence[float | None]] = [self.balance.given, self.target_peak]
        lists.append(self.achieved_peak)
        if self.balance.asked is not None:
            lists.append(self.balance.asked)
        if {len(each) for each in lists} != {classes}:
            raise ValueError(f"{classes} classes, and lists of other lengths")
        of_images = [(one.given, one.label, one.asked) for one in self.impressions]
        named = [*self.shown, *(each for three in of_images for each in three if each is not None)]
        if named and not 0 <= min(named) <= max(named) < classes:
            raise ValueError(f"a class outside 0..{classes - 1}")
        return self


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
    impression: "Tensor"
    achieved: "Tensor"
    nearest: "Tensor | None" = None
    target: "Tensor | None" = None
    similarity: "Tensor | None" = None

    def write(self, folder: str | Path) -> None:
        """Write both files into a directory; the numbers last.

        Raises:
            SystemFault: the directory cannot be written to.
        """
        from stillhouse.records.tensors import save_tensors

        found = {name: getattr(self, name) for name in _ARRAYS}
        arrays = {name: value for name, value in found.items() if value is not None}
        with system_faults():
            save_tensors(Path(folder) / PICTURES, arrays, _mark(self.facts))
            self.facts.write(Path(folder) / FACTS)


def read_gallery(folder: str | Path) -> Gallery:
    """Read both files of a gallery.

    Raises:
        DataError: a file is missing or damaged, or the two do not belong together.
    """
    from stillhouse.records.tensors import load_tensors

    facts, arrays = GalleryFacts.read(Path(folder) / FACTS), Path(folder) / PICTURES
    held, mark = load_tensors(arrays, DataError, AGAIN)
    problem = _problem(facts, held)
    if mark != _mark(facts) or problem:
        raise DataError(f"{arrays} does not belong to {FACTS}: {problem or mark}; {AGAIN}")
    return Gallery(facts, **held)


def _mark(facts: GalleryFacts) -> dict[str, str]:
    return {"fingerprint": facts.fingerprint, "count": str(facts.count)}


def _problem(facts: GalleryFacts, held: "dict[str, Tensor]") -> str:
    """What of the arrays does not fit the numbers; empty when all do."""
    shown, groups, classes = len(facts.impressions), len(facts.groups), len(facts.classes)
    wanted = {
        "target": (groups, classes),
        "achieved": (groups, classes),
        "similarity": (classes, classes),
    }
    for name in (*_NEEDED, *held):
        if name not in held or name not in _ARRAYS:
            return f"'{name}' is {'missing' if name in _NEEDED else 'unknown'}"
        shape = tuple(held[name].shape)
        if name in wanted:
            fits = shape == wanted[name] and held[name].is_floating_point()
        else:
            fits = len(shape) == 4 and shape[0] == shown and shape[1] in (1, 3)
            fits &= str(held[name].dtype) == "torch.uint8" and min(shape[2:], default=0) > 0
        if not fits:
            return f"'{name}' is {list(shape)}"
    return ""
