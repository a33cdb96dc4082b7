"""boxes.safetensors: test images with the boxes of the truth and of networks, for the report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.errors import RunError
from stillhouse.records.checked import damaged
from stillhouse.records.schema import RUN_AGAIN
from stillhouse.records.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

BOXES = "boxes.safetensors"
TRUTH = "truth"


@dataclass(frozen=True)
class ShownBox:
    """A box in pixels of the picture: left, top, right, bottom; its class, and the score."""

    corners: tuple[float, float, float, float]
    name: str
    score: float | None = None


@dataclass(frozen=True)
class BoxPicture:
    """One test image.

    Args:
        name: of the image.
        why: why it is shown, the heading under which it stands.
        boxes: of `TRUTH` and of each network, by role.
        image: [3, h, w] uint8.
    """

    name: str
    why: str
    boxes: dict[str, tuple[ShownBox, ...]]
    image: "Tensor"


@dataclass(frozen=True)
class BoxGallery:
    """What is shown, and by what rule it was chosen."""

    rule: str
    classes: tuple[str, ...]
    pictures: tuple[BoxPicture, ...]


def write_gallery_of_boxes(directory: Path, found: BoxGallery) -> None:
    """Write it beside the run."""
    words = {
        "rule": found.rule,
        "classes": found.classes,
        "pictures": [
            {
                "name": one.name,
                "why": one.why,
                "boxes": {
                    role: [[*box.corners, box.name, box.score] for box in boxes]
                    for role, boxes in one.boxes.items()
                },
            }
            for one in found.pictures
        ],
    }
    tensors = {str(at): one.image for at, one in enumerate(found.pictures)}
    save_tensors(directory / BOXES, tensors, {"words": json.dumps(words)})


def read_gallery_of_boxes(directory: Path) -> BoxGallery:
    """Read it.

    Raises:
        RunError: the file is damaged or was edited.
    """
    path = directory / BOXES
    tensors, facts = load_tensors(path, RunError, RUN_AGAIN)
    try:
        words = json.loads(facts["words"])
        pictures = tuple(
            BoxPicture(
                one["name"],
                one["why"],
                {
                    role: tuple(ShownBox((a, b, c, d), name, score)
                                for a, b, c, d, name, score in boxes)
                    for role, boxes in one["boxes"].items()
                },
                tensors[str(at)],
            )
            for at, one in enumerate(words["pictures"])
        )  # fmt: skip
        return BoxGallery(words["rule"], tuple(words["classes"]), pictures)
    except (KeyError, ValueError, TypeError) as error:
        again = RUN_AGAIN.format(directory=directory)
        raise damaged(path, f"it is not as it is written: {error}", RunError, again) from None
