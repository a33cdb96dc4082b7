"""examples.safetensors: pictures of test rows on which student and control disagree."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.errors import RunError
from stillhouse.records.schema import RUN_AGAIN
from stillhouse.records.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLES = "examples.safetensors"


@dataclass(frozen=True)
class Examples:
    """Rows of the test set, those that tell most first.

    Args:
        won, lost: that the student gets right where the control fails, and the reverse: [n].
        won_image, lost_image: their pictures, [n, 1 or 3, h, w] uint8.
    """

    won: "Tensor"
    lost: "Tensor"
    won_image: "Tensor"
    lost_image: "Tensor"


def write_examples(directory: Path, examples: Examples) -> None:
    """Write them beside the run."""
    save_tensors(directory / EXAMPLES, vars(examples), {})


def read_examples(directory: Path) -> Examples:
    """Read them.

    Raises:
        RunError: the file is damaged or was edited.
    """
    tensors, _ = load_tensors(directory / EXAMPLES, RunError, RUN_AGAIN)
    return Examples(**tensors)
