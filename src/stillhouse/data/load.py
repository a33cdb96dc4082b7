"""One call from what the user names to train, validation and test."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stillhouse.data.sources.find import find, source_names
from stillhouse.data.splits import stratified_limit, stratified_split
from stillhouse.data.tables import Table
from stillhouse.errors import DataError

__all__ = ["Splits", "load", "source_names"]

_TEST, _VALIDATION, _LIMIT = range(3)  # each draws its own numbers from the split seed


@dataclass(frozen=True, eq=False)
class Splits:
    """The three tables of a data set. Test is for the last number only.

    `notes` say what of the source was left out, for people.

    `fingerprint` covers the classes and all three tables: another split seed gives another one.

    `whole` are the training rows before a limit was put on them; None where there was none.

    `stored_side` is the shorter side of the first image in its source, where images were resized.
    """

    name: str
    train: Table
    validation: Table
    test: Table
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    whole: Table | None = None
    stored_side: int | None = None

    def limited(self, limit: int | None, split_seed: int = 0) -> "Splits":
        """The same validation and test rows, with another limit on training rows; None: all.

        >>> few = load("digits", limit=100)
        >>> len(few.limited(None).train), len(few.limited(500).train)
        (1294, 500)
        """
        whole = self.train if self.whole is None else self.whole
        train = whole if limit is None else _limited(whole, limit, split_seed)
        mark = _fingerprint(self.classes, train, self.validation, self.test)
        return replace(self, train=train, fingerprint=mark, whole=None if limit is None else whole)


def load(
    source: str | Path | Splits | Any,
    *,
    image: str | int | None = None,
    label: str | int | None = None,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    limit: int | None = None,
    split_seed: int = 0,
    allow_download: bool = True,
    labelled: bool = True,
) -> Splits:
    """Read a source, check it, and carve the splits that it does not have.

    First test is carved, then validation from the rest, then train is limited: so test does not
    depend on `validation`, and neither depends on `limit`. All three are stratified, or drawn by
    row where there are no labels. Splits that the source has of its own are taken as they are.

    Args:
        source: see `source_names()`; an existing `Splits` is given back (with `limit` applied).
        image: the column of the images, where several could be; of a Dataset the key or the
            position of the image in a sample.
        label: the same of the labels.
        validation: share (float) or number (int) of training rows for model selection; 0: none.
        test: share or number of rows to test on, where the source has no test split; 0: none.
        limit: train on at most so many rows, at least one of each class.
        split_seed: of the three draws. Keep it when only the run's seed changes, otherwise runs
            have different test rows.
        allow_download: whether `hf:org/name` may be fetched from the Hugging Face hub.
        labelled: whether labels are read; without them a folder of images will do, the tables have
            labels `[N, 0]`, and there are no classes.

    Returns:
        Three tables of one kind; the names of the classes; a fingerprint of all of it.

    Raises:
        DataError: the first defect that is found, with the file or row.

    >>> digits = load("digits")
    >>> len(digits.train), len(digits.validation), len(digits.test), len(digits.classes)
    (1294, 144, 359, 10)
    """
    if isinstance(source, Splits):
        return source if limit is None else source.limited(limit, split_seed)
    found = find(source, image, label, allow_download, labelled=labelled)
    rest, tested = found.parts["train"], found.parts.get("test")
    if tested is None:
        rest, tested = _carve(rest, test, 3 * split_seed + _TEST, "test", found.classes)
    validated = found.parts.get("validation")
    if validated is None:
        seed = 3 * split_seed + _VALIDATION
        rest, validated = _carve(rest, validation, seed, "validation", found.classes)
        if len(validated) > len(rest):
            raise DataError(
                f"validation = {validation} takes {len(validated)} rows and leaves {len(rest)} to "
                "train on; it must not be larger than train: ask for less"
            )
    train = rest if limit is None else _limited(rest, limit, split_seed)
    mark = _fingerprint(found.classes, train, validated, tested)
    whole = None if limit is None else rest
    return Splits(found.name, train, validated, tested, found.classes, mark, found.notes, whole)


def _carve(
    table: Table, part: float | int, seed: int, what: str, classes: Sequence[str]
) -> tuple[Table, Table]:
    kept, carved = stratified_split(table.labels, part, seed, what=what, classes=classes)
    return table.take(kept), table.take(carved)


def _limited(train: Table, limit: int, split_seed: int) -> Table:
    return train.take(stratified_limit(train.labels, limit, 3 * split_seed + _LIMIT))


def _fingerprint(classes: Sequence[str], *tables: Table) -> str:
    digest = hashlib.sha256("\n".join(classes).encode())
    for table in tables:
        digest.update(table.fingerprint().encode())
    return digest.hexdigest()
