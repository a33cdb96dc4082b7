"""What a source gives: a table for each split that it names, with labels checked and numbered."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.tables import Table
from stillhouse.errors import DataError, nearest

SPLITS = ("train", "validation", "test")
OTHER_NAMES = {
    "training": "train", "val": "validation", "valid": "validation", "dev": "validation",
    "eval": "validation", "evaluation": "validation", "testing": "test",
}  # fmt: skip
"""What people call a split beside its name."""


@dataclass(frozen=True)
class SourceSplits:
    """The splits that a source has of its own: always `train`, maybe `validation` and `test`.

    ``notes`` say what of the source was left out, for people.
    """

    name: str
    parts: Mapping[str, Table]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def without_labels(self) -> "SourceSplits":
        """The same rows, of which nobody knows what they are; nothing left out."""
        parts = {
            split: replace(table, labels=torch.from_numpy(unlabelled(len(table))))
            for split, table in self.parts.items()
        }
        return replace(self, parts=parts, classes=())


def split_named(name: str) -> str | None:
    """The split that a folder, a file or a key is named after; None where it is none.

    >>> split_named("Eval"), split_named("cats")
    ('validation', None)
    """
    split = OTHER_NAMES.get(name.lower(), name.lower())
    return split if split in SPLITS else None


def unlabelled(rows: int) -> np.ndarray:
    """What stands in the place of labels where nobody reads any: nothing for each row, ``[N, 0]``.

    >>> unlabelled(3).shape
    (3, 0)
    """
    return np.zeros((rows, 0), dtype=np.float32)


Where = Callable[[str, int], str]  # (split, row) -> the file and row, for messages


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key that reads the digits in a name as numbers.

    >>> sorted(["s10", "s2", "s1"], key=natural)
    ['s1', 's2', 's10']
    """
    pieces = re.split(r"(\d+)", name)
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name


def number_labels(
    raw: Mapping[str, np.ndarray], where: Where, names: Sequence[str] | None = None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Number the labels of all splits together, and check them.

    Text becomes classes in natural order; numbers are kept. The classes are those of `train`.
    Rows that are `unlabelled` stay so, and there are no classes.

    Args:
        raw: for each split its labels `[N]`, whole numbers or text; `train` must be there.
        where: names the file and row of a label in messages.
        names: the classes where the source knows them; else the text, or the numbers as text.

    Returns:
        For each split labels `[N]` int64 in 0..C-1, and the names of the C classes.

    Raises:
        DataError: no rows, labels of another kind, negative labels, labels above the last class,
            classes without a row in train, a label that only another split has, or one class only.

    >>> number_labels({"train": np.array(["s2", "s10", "s2"])}, lambda split, row: f"row {row}")
    ({'train': tensor([0, 1, 0])}, ('s2', 's10'))
    """
    for split, values in raw.items():
        if not len(values):
            raise DataError(f"{split} has no rows; every split needs at least one")
    if all(values.shape[1:] == (0,) for values in raw.values()):
        return {split: torch.from_numpy(values) for split, values in raw.items()}, ()
    text = [split for split, values in raw.items() if _is_text(values)]
    if text and len(text) < len(raw):
        rest = ", ".join(split for split in raw if split not in text)
        raise DataError(
            f"labels are text in {', '.join(text)} but not in {rest}; give the same in every split"
        )
    if text:
        classes = tuple(names or sorted(set(raw["train"].tolist()), key=natural))
        numbers = {split: _by_name(split, raw[split], classes, where) for split in raw}
    else:
        numbers = {split: _whole(split, values, where) for split, values in raw.items()}
        classes = tuple(names or _counted(numbers["train"]))
    _check_range(numbers, classes, where)
    if len(classes) < 2:
        raise DataError(
            f"there is one class only ({', '.join(classes)}); a classifier needs at least 2"
        )
    return {split: torch.from_numpy(values) for split, values in numbers.items()}, classes


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind == "U" or (
        values.dtype == object and all(isinstance(value, str) for value in values)
    )


def _by_name(split: str, values: np.ndarray, classes: Sequence[str], where: Where) -> np.ndarray:
    index = {name: i for i, name in enumerate(classes)}
    for row, name in enumerate(values.tolist()):
        if name not in index:
            raise DataError(
                f"{where(split, row)}: {split} has the label '{name}', which train does not have; "
                f"{nearest(name, classes)}. Add it to train or leave these rows out"
            )
    return np.array([index[name] for name in values.tolist()], dtype=np.int64)


def _whole(split: str, values: np.ndarray, where: Where) -> np.ndarray:
    for row, value in enumerate(values if values.dtype == object else ()):
        if not isinstance(value, int):  # text in one row, a number in another
            raise DataError(f"{where(split, row)}: the label {value!r} is not a whole number")
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise DataError(
            f"{where(split, 0)}: labels are {values.dtype} {list(values.shape)}; each must be one "
            "whole number (astype('int64') for floats, argmax(1) for one-hot rows) or a name"
        )
    numbers = values.astype(np.int64)
    if numbers.min() < 0:
        row = int(np.argmax(numbers < 0))
        raise DataError(
            f"{where(split, row)}: the label of {split} is {values[row]}; labels are 0 or above "
            "(a split whose labels are hidden must be left out)"
        )
    return numbers


def _counted(train: np.ndarray) -> list[str]:
    """Look for gaps before a list of names is made: a label may be any number."""
    last = int(train.max())
    present = set(np.unique(train).tolist())
    _refuse_absent((n for n in range(last + 1) if n not in present), last + 1 - len(present))
    return [str(number) for number in range(last + 1)]


def _check_range(numbers: Mapping[str, np.ndarray], classes: Sequence[str], where: Where) -> None:
    for split, values in numbers.items():
        if values.max() >= len(classes):
            row = int(np.argmax(values >= len(classes)))
            raise DataError(
                f"{where(split, row)}: {split} has the label {values[row]}; there are "
                f"{len(classes)} classes in train, 0 to {len(classes) - 1}"
            )
    present = set(np.unique(numbers["train"]).tolist())
    absent = [f"{n} ('{classes[n]}')" for n in range(len(classes)) if n not in present]
    _refuse_absent(absent, len(absent))


def _refuse_absent(absent: Iterable[Any], count: int) -> None:
    if count:
        said = ", ".join(str(number) for number in islice(absent, 8))
        more = f" and {count - 8} more" if count > 8 else ""
        raise DataError(
            f"train has no row of class {said}{more}; labels must be 0 to C-1 with no gap. "
            "Renumber them, or give names (text) as labels"
        )
