"""examples.safetensors: pictures of test rows that tell most of a student."""

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

EXAMPLES = "examples.safetensors"
DISAGREE = (
    "The student is right where the control fails",
    "The control is right where the student fails",
)
TENSORS = ("won", "lost", "won_image", "lost_image")


@dataclass(frozen=True)
class Examples:
    """Rows (or pairs) of the test set, those that tell most first.

    Args:
        won, lost: that the student gets right where the control fails, and the reverse, or what
            ``titles`` say: [n].
        won_image, lost_image: their pictures, [n, 1 or 3, h, w] uint8.
        titles: of both sides.
        captions: of each picture of both sides; None where answers of rows tell it.
    """

    won: "Tensor"
    lost: "Tensor"
    won_image: "Tensor"
    lost_image: "Tensor"
    titles: tuple[str, str] = DISAGREE
    captions: tuple[tuple[str, ...], tuple[str, ...]] | None = None


def write_examples(directory: Path, examples: Examples) -> None:
    """Write them beside the run."""
    words = {"titles": examples.titles, "captions": examples.captions}
    tensors = {name: getattr(examples, name) for name in TENSORS}
    save_tensors(directory / EXAMPLES, tensors, {"words": json.dumps(words)})


def read_examples(directory: Path) -> Examples:
    """Read them.

    Raises:
        RunError: the file is damaged or was edited.
    """
    tensors, facts = load_tensors(directory / EXAMPLES, RunError, RUN_AGAIN)
    path = directory / EXAMPLES
    if "words" not in facts:
        why = "it has no titles, so it is of an old version"
        raise damaged(path, why, RunError, RUN_AGAIN.format(directory=directory))
    words = json.loads(facts["words"])
    first, second = words["titles"]
    sides = words["captions"]
    captions = None if sides is None else (tuple(sides[0]), tuple(sides[1]))
    return Examples(**tensors, titles=(first, second), captions=captions)
