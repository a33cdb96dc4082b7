"""The tables of a data set, and which of their rows are compared."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from stillhouse.data.splits import stratified_limit
from stillhouse.data.tables import Table
from stillhouse.errors import DataError
from stillhouse.verification.pairs import Pairs

TEST, VALIDATION, LIMIT = range(3)
"""Each draws its own numbers from the split seed: ``3 * split_seed`` plus this."""


@dataclass(frozen=True, eq=False)
class Splits:
    """The three tables of a data set. Test is for the last number only.

    Labels of train are numbers of `classes`. In an open set (`open_set`: verification) validation
    and test are of people that train has none of, and labels are numbers of `people`, in which
    those of train come first.

    `notes` say what of the source was left out, for people.

    `fingerprint` covers the classes and all tables: another split seed gives another one.

    `whole` are the training rows before a limit was put on them; None where there was none.

    `stored_side` is the shorter side of the first image in its source, where images were resized.
    `people` are the names that labels of all tables are numbers of; `classes` come first. The same
    as `classes` where no table has others.

    `unseen` are all rows of the classes that were held out of the other three; None without any.

    `pairs` says which rows of a table are compared: of 'validation', 'test' and 'unseen', as far as
    their classes are none of train's and they have rows.
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
    people: tuple[str, ...] = ()
    unseen: Table | None = None
    pairs: Mapping[str, Pairs] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.people:
            object.__setattr__(self, "people", self.classes)
        tables = self.tables  # a transfer set has no validation
        there = {name: pairs for name, pairs in self.pairs.items() if len(tables[name])}
        object.__setattr__(self, "pairs", there)
        _refuse_shared(self)

    @property
    def open_set(self) -> bool:
        """Whether test is of people that train has none of."""
        return "test" in self.pairs or "validation" in self.pairs

    @property
    def tables(self) -> dict[str, Table]:
        """Those that there are, by name; any of the first three may be without rows."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return found if self.unseen is None else {**found, "unseen": self.unseen}

    @property
    def told(self) -> str:
        """How many images each table has, in a sentence.

        >>> from stillhouse.data.load import load
        >>> load("digits", unseen=2).told
        '1,035 train, 115 validation, 287 test images of 8 classes, 360 of 2 unseen ones (64,620 \
pairs)'
        """
        train, validation, test = (f"{len(t):,}" for t in (self.train, self.validation, self.test))
        if self.open_set:
            said = [f"{train} train images of {len(self.classes):,} people"]
            for name in self.pairs:
                said.append(f"{len(self.tables[name]):,} {name} images of {self._others(name)}")
            return ", ".join(said)
        said = [f"{train} train, {validation} validation, {test} test images"]
        said[0] += f" of {len(self.classes)} classes" if self.classes else " without labels"
        if self.unseen is not None:
            said.append(f"{len(self.unseen):,} of {self._others('unseen', 'unseen ones')}")
        return ", ".join(said)

    def _others(self, name: str, what: str = "others") -> str:
        pairs, people = self.pairs[name], len(torch.unique(self.tables[name].labels))
        folds = "" if pairs.fold is None else f" in {len(np.unique(pairs.fold))} folds"
        return f"{people:,} {what} ({len(pairs):,} pairs{folds})"

    def limited(self, limit: int | None, split_seed: int = 0) -> "Splits":
        """The same validation and test rows, with another limit on training rows; None: all.

        >>> from stillhouse.data.load import load
        >>> few = load("digits", limit=100)
        >>> len(few.limited(None).train), len(few.limited(500).train)
        (1294, 500)
        """
        whole = self.train if self.whole is None else self.whole
        train = whole if limit is None else _limited(whole, limit, split_seed)
        return marked(replace(self, train=train, whole=None if limit is None else whole))

    def changed(self, change: Callable[[Table], Table], mark: str) -> "Splits":
        """The same rows, each table changed; ``mark`` is added to the fingerprint."""
        return replace(
            self,
            train=change(self.train),
            validation=change(self.validation),
            test=change(self.test),
            whole=None if self.whole is None else change(self.whole),
            unseen=None if self.unseen is None else change(self.unseen),
            fingerprint=f"{self.fingerprint}-{mark}",
        )


def _limited(train: Table, limit: int, split_seed: int) -> Table:
    return train.take(stratified_limit(train.labels, limit, 3 * split_seed + LIMIT))


def _refuse_shared(splits: Splits) -> None:
    """Tables whose rows are compared are of classes that train has none of, each of its own."""
    seen: dict[int, str] = {}
    for name in splits.pairs:
        labels = splits.tables[name].labels
        known = int((labels < len(splits.classes)).sum())
        if known:
            raise DataError(f"{known} rows of {name} are of people who are in train, too")
        for person in torch.unique(labels).tolist():
            if seen.setdefault(person, name) != name:
                who = splits.people[person]
                raise DataError(f"'{who}' is in {seen[person]} and in {name}; one table each")


def marked(splits: Splits) -> Splits:
    """The splits with the fingerprint of what they hold."""
    digest = hashlib.sha256("\n".join(splits.classes).encode())
    for table in (splits.train, splits.validation, splits.test):
        digest.update(table.fingerprint().encode())
    if splits.people != splits.classes:
        digest.update("\n".join(splits.people).encode())
    if splits.unseen is not None:
        digest.update(splits.unseen.fingerprint().encode())
    for name, pairs in splits.pairs.items():
        digest.update(name.encode())
        for values in (pairs.first, pairs.second, pairs.same, pairs.fold):
            digest.update(b"" if values is None else values.tobytes())
    return replace(splits, fingerprint=digest.hexdigest())
