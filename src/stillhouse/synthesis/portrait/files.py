"""The two files of a portrait: transfer.json and transfer.safetensors, written and read."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from torch import Tensor

from stillhouse.errors import DataError, RunError
from stillhouse.records.files import save_tensors, write_json
from stillhouse.synthesis.portrait.facts import Facts, first_problem

FACTS, PICTURES = "transfer.json", "transfer.safetensors"
_NEEDED = ("impression", "achieved")
_ARRAYS = (*_NEEDED, "nearest", "target", "similarity")
AGAIN = "delete transfer.json and transfer.safetensors, and have them made again"


@dataclass(frozen=True, eq=False)
class Portrait:
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

    facts: Facts
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
        found = {name: getattr(self, name) for name in _ARRAYS}
        arrays = {name: value for name, value in found.items() if value is not None}
        try:
            save_tensors(Path(folder) / PICTURES, arrays, _mark(self.facts))
            write_json(Path(folder) / FACTS, self.facts.model_dump(mode="json"))
        except OSError as error:
            raise RunError(
                f"{folder} cannot be written to ({error}); make room, or make it writable"
            ) from error


def read_portrait(folder: str | Path) -> Portrait:
    """Read both files of a portrait.

    Raises:
        DataError: a file is missing or damaged, or the two do not belong together.
    """
    from safetensors import SafetensorError, safe_open

    facts, arrays = Path(folder) / FACTS, Path(folder) / PICTURES
    try:
        told = Facts.model_validate_json(facts.read_bytes())
        with safe_open(arrays, framework="pt") as file:
            mark = json.loads((file.metadata() or {}).get("stillhouse", "{}"))
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except ValidationError as error:
        raise DataError(f"{facts} is damaged ({first_problem(error)}); {AGAIN}") from None
    except (SafetensorError, ValueError, OSError) as error:
        raise DataError(f"the portrait in {folder} cannot be read ({error}); {AGAIN}") from None
    problem = _problem(told, held)
    if mark != _mark(told) or problem:
        raise DataError(f"{arrays} does not belong to {facts.name}: {problem or mark}; {AGAIN}")
    return Portrait(told, **held)


def _mark(facts: Facts) -> dict[str, str]:
    return {"fingerprint": facts.fingerprint, "count": str(facts.count)}


def _problem(facts: Facts, held: dict[str, Tensor]) -> str:
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
