"""What a source gives: a table for each split that it names, with labels checked and numbered."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

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


class Origins(Protocol):
    """Where the images of one split come from."""

    def name(self, row: int) -> str | None:
        """What the source calls an image: its file, maybe below folders; None where nameless."""
        ...


@dataclass(frozen=True)
class SourceSplits:
    """The splits that a source has of its own: always `train`, maybe `validation` and `test`.

    Args:
        name: of the data.
        parts: a table for each split.
        classes: the names that labels are numbers of.
        notes: what of the source was left out, for people.
        open_only: why a classifier cannot be trained and tested on these splits: a class that only
            another one than train has, or that none has. None where all have the classes of train.
        origins: by split, where its images have names.
    """

    name: str
    parts: Mapping[str, Table]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    open_only: str | None = None
    origins: Mapping[str, Origins] = field(default_factory=dict)

    def image_name(self, split: str, row: int) -> str:
        """What an image is called; its row where it has no name."""
        found = self.origins[split].name(row) if split in self.origins else None
        return str(row) if found is None else found

    def without_labels(self) -> "SourceSplits":
        """The same rows, of which nobody knows what they are; nothing left out."""
        parts = {
            split: replace(table, labels=torch.from_numpy(unlabelled(len(table))))
            for split, table in self.parts.items()
        }
        return replace(self, parts=parts, classes=(), open_only=None)


def refuse_one_class(found: SourceSplits) -> None:
    """Rows of a single class teach nothing; a student may be measured on them.

    Raises:
        DataError: there is one class only.
    """
    if len(found.classes) == 1:
        raise DataError(
            f"{found.name}: there is one class only ({found.classes[0]}), and a network learns to "
            "tell at least 2 apart; add rows of another class, such as a second folder of images"
        )


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


@dataclass(frozen=True)
class Numbered:
    """Labels as numbers.

    Args:
        labels: for each split `[N]` int64 in 0..C-1.
        classes: the names of the C classes; those of train come first where labels are text.
        open_only: see `SourceSplits`.
    """

    labels: dict[str, Tensor]
    classes: tuple[str, ...]
    open_only: str | None = None


def number_labels(
    raw: Mapping[str, np.ndarray], where: Where, names: Sequence[str] | None = None
) -> Numbered:
    """Number the labels of all splits together, and check them.

    Text becomes classes in natural order; numbers are kept. The classes are those of `train`. What
    a classifier cannot use and verification can (people that only one split has) is no error here:
    `open_only` says it. Numbers without names are then numbered anew, without gaps. Rows that are
    `unlabelled` stay so, and there are no classes.

    Args:
        raw: for each split its labels `[N]`, whole numbers or text; `train` must be there.
        where: names the file and row of a label in messages.
        names: the classes where the source knows them; else the text, or the numbers as text.

    Raises:
        DataError: no rows, labels of another kind, negative labels, or labels above the last name.

    >>> found = number_labels({"train": np.array(["s2", "s10", "s2"])}, lambda split, row: "")
    >>> found.labels, found.classes
    ({'train': tensor([0, 1, 0])}, ('s2', 's10'))
    """
    for split, values in raw.items():
        if not len(values):
            raise DataError(f"{split} has no rows; every split needs at least one")
    if all(values.shape[1:] == (0,) for values in raw.values()):
        return Numbered({split: torch.from_numpy(each) for split, each in raw.items()}, ())
    text = [split for split, values in raw.items() if _is_text(values)]
    if text and len(text) < len(raw):
        rest = ", ".join(split for split in raw if split not in text)
        raise DataError(
            f"labels are text in {', '.join(text)} but not in {rest}; give the same in every split"
        )
    if text:
        numbers, classes, problem = _by_name(raw, where, names)
    else:
        numbers = {split: _whole(split, values, where) for split, values in raw.items()}
        if names is None:
            numbers, classes, problem = _counted(numbers, where)
        else:
            classes = tuple(names)
            above = _above(numbers, len(classes), where)
            if above is not None:
                raise DataError(above)
            problem = _gaps(numbers["train"], len(classes), classes)
    labels = {split: torch.from_numpy(values) for split, values in numbers.items()}
    return Numbered(labels, classes, problem)


_Numbers = dict[str, np.ndarray]


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind == "U" or (
        values.dtype == object and all(isinstance(value, str) for value in values)
    )


def _by_name(
    raw: Mapping[str, np.ndarray], where: Where, names: Sequence[str] | None
) -> tuple[_Numbers, tuple[str, ...], str | None]:
    known = tuple(names or sorted(set(raw["train"].tolist()), key=natural))
    mine, problem = set(known), None
    more = {name for values in raw.values() for name in values.tolist()} - mine
    for split, values in raw.items() if more else ():
        row = next((row for row, name in enumerate(values.tolist()) if name not in mine), None)
        if row is not None and problem is None:
            problem = (
                f"{where(split, row)}: {split} has the label '{values[row]}', which train does not "
                f"have; {nearest(values[row], known)}. Add it to train or leave these rows out"
            )
    classes = (*known, *sorted(more, key=natural))
    index = {name: i for i, name in enumerate(classes)}
    numbers = {
        split: np.array([index[name] for name in values.tolist()], dtype=np.int64)
        for split, values in raw.items()
    }
    return numbers, classes, problem or _gaps(numbers["train"], len(known), known)


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


def _counted(numbers: _Numbers, where: Where) -> tuple[_Numbers, tuple[str, ...], str | None]:
    """Numbers are their own names, as long as a classifier could use them."""
    count = int(numbers["train"].max()) + 1
    problem = _gaps(numbers["train"], count) or _above(numbers, count, where)
    if problem is None:
        return numbers, tuple(map(str, range(count))), None
    there = np.unique(np.concatenate(list(numbers.values())))  # a label may be any number
    anew = {split: np.searchsorted(there, values) for split, values in numbers.items()}
    return anew, tuple(map(str, there.tolist())), problem


def _above(numbers: _Numbers, count: int, where: Where) -> str | None:
    for split, values in numbers.items():
        if values.max() >= count:
            row = int(np.argmax(values >= count))
            return (
                f"{where(split, row)}: {split} has the label {values[row]}; there are {count} "
                f"classes in train, 0 to {count - 1}"
            )
    return None


def _gaps(train: np.ndarray, count: int, names: Sequence[str] = ()) -> str | None:
    """Which of so many classes have no row in train; no list is made of them, they may be many."""
    present = set(np.unique(train).tolist())
    absent = (n for n in range(count) if n not in present)
    missing = count - len([n for n in present if n < count])
    if not missing:
        return None
    said = ", ".join(f"{n} ('{names[n]}')" if names else str(n) for n in islice(absent, 8))
    more = f" and {missing - 8} more" if missing > 8 else ""
    return (
        f"train has no row of class {said}{more}; labels must be 0 to C-1 with no gap. "
        "Renumber them, or give names (text) as labels"
    )
