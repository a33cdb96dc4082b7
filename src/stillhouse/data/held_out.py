"""Classes that are held out: chosen by name, by number or by share, as a function of a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.pool import Pool
from stillhouse.data.sources.labelled_splits import SourceSplits
from stillhouse.data.splits import share_of
from stillhouse.data.tables import Table
from stillhouse.errors import DataError, nearest

LEAST = 2
"""Classes on either side: of one alone there is no pair of different people, and no classifier."""
_CHOICE = 1  # its numbers are none of those that `splits` draws from whole seeds


def chosen_classes(
    classes: Sequence[str],
    asked: float | int | Sequence[str],
    seed: int,
    *,
    key: str = "unseen",
    what: str = "classes",
) -> list[int]:
    """Which classes are held out.

    Args:
        classes: the names of all.
        asked: a share of them (float), how many (int), or which.
        seed: of the choice; raw PCG64 numbers, which numpy does not change between versions.
        key: how messages call the setting.
        what: how messages call classes.

    Returns:
        their numbers, rising.

    Raises:
        DataError: a name that there is not, or twice; fewer than two, or fewer than two that stay.

    >>> chosen_classes(["ann", "bob", "cy", "di", "eve"], ["di", "bob"], seed=0)
    [1, 3]
    >>> chosen_classes(["ann", "bob", "cy", "di", "eve"], 2, seed=0)
    [1, 4]
    """
    if isinstance(asked, int | float | np.integer | np.floating):
        count = share_of(asked, len(classes), key, what)[1]
        keys = class_keys(seed, len(classes), _CHOICE)
        found = sorted(np.argsort(keys, kind="stable")[:count].tolist())
    else:
        found = _by_name(classes, [asked] if isinstance(asked, str) else list(asked), key)
    if len(found) < LEAST or len(classes) - len(found) < LEAST:
        raise DataError(
            f"{key} holds out {len(found)} of {len(classes)} {what}: images of different {what} "
            f"are compared, and the rest is trained on, so each side needs {LEAST} or more"
        )
    return found


def is_asked(asked: float | int | Sequence[str]) -> bool:
    """Whether anything is to be held out.

    >>> is_asked(0), is_asked(0.1), is_asked(["ann"])
    (False, True, True)
    """
    return not isinstance(asked, int | float) or bool(asked)


def _by_name(classes: Sequence[str], names: Sequence[str], key: str) -> list[int]:
    number = {name: at for at, name in enumerate(classes)}
    unknown = [name for name in map(str, names) if name not in number]
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise DataError(
            f"{key}: there is no class '{unknown[0]}'{more}; {nearest(unknown[0], classes)}"
        )
    found = sorted({number[str(name)] for name in names})
    if len(found) < len(names):
        twice = next(name for name in map(str, names) if list(map(str, names)).count(name) > 1)
        raise DataError(f"{key} names '{twice}' twice; name each class once")
    return found


def class_keys(seed: int, count: int, draw: int) -> np.ndarray:
    """A random number for each class, by a stream of its own for each ``draw``."""
    if seed < 0:
        raise DataError(f"the seed of a split is {seed}; it must be 0 or above")
    return np.random.PCG64([seed, draw]).random_raw(count)


def large_enough(label: Tensor, least: int, number: int) -> list[int]:
    """The classes that have at least so many rows.

    Args:
        label: of the rows that count.
        least: rows.
        number: of classes.

    >>> large_enough(torch.tensor([0, 0, 2]), 2, 3)
    [0]
    """
    counts = torch.bincount(label, minlength=number)
    return (counts >= max(least, 1)).nonzero()[:, 0].tolist()


def some(names: Sequence[str], most: int = 4) -> str:
    """A few of many names.

    >>> some(["ann", "bob", "cy"], 2)
    "'ann', 'bob' and 1 more"
    """
    said = ", ".join(f"'{name}'" for name in names[:most])
    return said + (f" and {len(names) - most:,} more" if len(names) > most else "")


@dataclass(frozen=True)
class HeldOut:
    """A source without the classes that were held out.

    Args:
        source: its splits, with classes numbered anew.
        people: the names of its classes, then those of ``unseen``.
        unseen: all rows of the classes that are never trained on, of all splits; None without any.
    """

    source: SourceSplits
    people: tuple[str, ...]
    unseen: Table | None = None


def hold_out(
    source: SourceSplits, unseen: float | int | Sequence[str], seed: int, least: int
) -> HeldOut:
    """Take classes out of all splits: those with few rows, and those that are to stay unseen.

    Args:
        source: of one set of classes in all splits.
        unseen: see `chosen_classes`; 0: none.
        seed: of the choice.
        least: rows of train that a class needs to be there at all.

    Raises:
        DataError: see `chosen_classes`; or fewer than two classes have enough rows.
    """
    asked, chosen = is_asked(unseen), list[int]()
    if not asked and least <= 1:
        return HeldOut(source, source.classes)
    names, notes, pool = source.classes, list(source.notes), Pool(source)
    rows = pool.label[pool.rows("train")]
    kept = large_enough(rows, least, len(names))
    if len(kept) < LEAST:
        raise DataError(
            f"min_per_class {least} (data.min_per_class) leaves {len(kept)} of {len(names)} "
            f"classes to train on, and {LEAST} are needed; the largest class has "
            f"{int(torch.bincount(rows).max())} rows"
        )
    if len(kept) < len(names):
        few = len(pool) - len(pool.of(kept))
        notes.append(
            f"min_per_class {least}: {len(names) - len(kept):,} of {len(names):,} classes, with "
            f"{few:,} rows, are left out"
        )
    if asked:
        at = chosen_classes([names[each] for each in kept], unseen, seed)
        chosen = [kept[each] for each in at]
        kept = [each for each in kept if each not in chosen]
    if len(kept) == len(names):
        return HeldOut(source, names)
    number = {each: at for at, each in enumerate([*kept, *chosen])}
    parts = {}
    for split in source.parts:
        mine = pool.rows(split)
        parts[split] = pool.table(mine[torch.isin(pool.label[mine], torch.tensor(kept))], number)
        if not len(parts[split]):
            raise DataError(f"no row of {split} is of the {len(kept)} classes that are left")
    table = None
    if chosen:
        all_of = pool.of(chosen)
        table = pool.table(all_of, number)
        said = some([names[each] for each in chosen])
        notes.append(
            f"unseen: {len(chosen):,} of {len(chosen) + len(kept):,} classes ({said}), with "
            f"{len(all_of):,} rows, are held out of train, validation and test"
        )
    people = tuple(names[each] for each in number)
    classes = people[: len(kept)]
    left = replace(source, parts=parts, classes=classes, notes=tuple(notes), origins={})
    return HeldOut(left, people, table)
