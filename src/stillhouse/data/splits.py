"""Stratified splits: which rows go where, the same on every platform and numpy version.

Rows whose labels are no classes (none at all, or numbers with a fraction) are of one kind: which of
them are drawn is decided by the seed alone.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from stillhouse.errors import DataError

WITHOUT = {"validation": ", or go without one (validation: 0)"}
"""The parts that a training can do without."""


def stratified_split(
    labels: Tensor,
    part: float | int,
    seed: int,
    *,
    what: str = "the part",
    classes: Sequence[str] | None = None,
) -> tuple[Tensor, Tensor]:
    """Carve a part out of the rows such that every class gives its share.

    A class of n rows gives `floor(n * part)` rows or one more (largest remainder; ties are broken
    by the seed), and always keeps one. Together they give `round(N * part)` rows, or exactly `part`
    rows where it is a whole number. Rows are drawn by raw PCG64 numbers, which numpy does not
    change between versions.

    Shapes:
        labels: `[N]` integers from 0, or `[N, ...]` that are no classes; returns kept `[N - n]`
        and carved `[n]`, int64, sorted.

    Args:
        labels: the class of each row.
        part: a share in [0, 1) (float) or a number of rows in [0, N) (int); 0 carves nothing.
        seed: 0 or above; the same seed gives the same rows.
        what: how messages name the part.
        classes: how messages name the classes; numbers where not given.

    Returns:
        Kept rows and carved rows.

    Raises:
        DataError: a part that is out of range, a class with fewer than 2 rows, or classes too
            small to give so much and keep one row each (the message says which).

    >>> kept, carved = stratified_split(torch.tensor([0, 1] * 10), 0.2, seed=0)
    >>> len(kept), torch.bincount(torch.tensor([0, 1] * 10)[carved]).tolist()
    (16, [2, 2])
    """
    if part and len(labels) < 2:
        raise DataError(
            f"{what} needs at least 2 rows, one to give and one to keep, and there is one only. "
            f"Add rows, or bring {what} as a split of its own{WITHOUT.get(what, '')}"
        )
    share, total = share_of(part, len(labels), what)
    if total == 0:
        return torch.arange(len(labels)), torch.zeros(0, dtype=torch.int64)
    labels = _kinds(labels)
    per_class = torch.bincount(labels).tolist()
    names = classes or [str(number) for number in range(len(per_class))]
    small = [f"'{names[c]}' ({n} row)" for c, n in enumerate(per_class) if n == 1]
    if small:
        raise DataError(
            f"{what} needs at least 2 rows of each class, one to give and one to keep; too few: "
            f"{_few(small)}. Add rows, drop the class, or bring {what} as a split of its own"
            f"{WITHOUT.get(what, '')}"
        )
    keys = _keys(seed, len(labels) + len(per_class))
    counts = _apportion(per_class, share, total, keys[len(labels) :])
    if sum(counts) != total:
        full = [f"'{names[c]}' ({n} rows)" for c, n in enumerate(per_class) if counts[c] == n - 1]
        raise DataError(
            f"{what} asks for {total} of {len(labels)} rows, but every class must keep one; too "
            f"few rows: {_few(full)}. Ask for {sum(counts)} or fewer"
        )
    return _first_of_each(labels, counts, keys[: len(labels)])


def stratified_limit(labels: Tensor, n: int, seed: int) -> Tensor:
    """Choose at most `n` rows such that every class keeps its share, and at least one row.

    A class is cut to its share by largest remainder; a class whose share rounds to nothing takes
    one row from the largest class. Each class's rows are drawn in one order per seed, so a smaller
    limit takes nearly a subset of a larger one.

    Shapes:
        labels: `[N]` integers from 0, or `[N, ...]` that are no classes; returns `[min(n, N)]`
        int64, sorted.

    Args:
        labels: the class of each row.
        n: the most rows to keep, at least one per class; all rows where there are not more.
        seed: 0 or above; the same seed gives the same rows.

    Raises:
        DataError: `n` is smaller than the number of classes.

    >>> rows = stratified_limit(torch.tensor([0] * 90 + [1] * 10), 10, seed=0)
    >>> len(rows), int((rows >= 90).sum())
    (10, 1)
    """
    labels = _kinds(labels)
    per_class = torch.bincount(labels).tolist()
    present = sum(1 for count in per_class if count)
    if n < present:
        raise DataError(
            f"limit: {n} rows are fewer than the {present} classes; ask for {present} or more"
        )
    if n >= len(labels):
        return torch.arange(len(labels))
    keys = _keys(seed, len(labels) + len(per_class))
    spare = [count + 1 if count else 0 for count in per_class]  # here a class may give all it has
    counts = _apportion(spare, Fraction(n, len(labels)), n, keys[len(labels) :], per_class)
    for c, count in enumerate(per_class):
        if count and not counts[c]:
            counts[int(np.argmax(counts))] -= 1
            counts[c] = 1
    return _first_of_each(labels, counts, keys[: len(labels)])[1]


def _kinds(labels: Tensor) -> Tensor:
    """The class of each row; one for all where labels are no classes."""
    if labels.ndim == 1 and not labels.is_floating_point():
        return labels
    return torch.zeros(len(labels), dtype=torch.int64)


def share_of(part: float | int, rows: int, what: str, unit: str = "rows") -> tuple[Fraction, int]:
    """The exact share and the number that ``part`` of so many rows (or another ``unit``) means.

    >>> share_of(0.1, 25, "test")
    (Fraction(1, 10), 2)
    """
    if isinstance(part, int | np.integer) and not isinstance(part, bool):
        if 0 <= part < max(rows, 1):
            return Fraction(int(part), max(rows, 1)), int(part)
        raise DataError(
            f"{what} asks for {part} {unit}; there are {rows}, ask for 0 to {max(rows - 1, 0)}"
        )
    if isinstance(part, float | np.floating) and 0 <= part < 1:
        share = Fraction(repr(float(part)))  # 0.1 is meant as a tenth, not as its nearest double
        total = round(share * rows)
        if part and not total:
            raise DataError(f"{what} asks for {part} of {rows} {unit}, which is none; ask for more")
        return share, total
    raise DataError(f"{what}: {part!r} is neither a share in [0, 1) nor a number of {unit}")


def _keys(seed: int, count: int) -> np.ndarray:
    if seed < 0:
        raise DataError(f"the seed of a split is {seed}; it must be 0 or above")
    return np.random.PCG64(seed).random_raw(count)


def _apportion(
    room: Sequence[int],
    share: Fraction,
    total: int,
    ties: np.ndarray,
    rows: Sequence[int] | None = None,
) -> list[int]:
    """Give each class `floor(rows * share)` or one more, `total` in all, below its `room`."""
    exact = [count * share for count in rows or room]
    counts = [int(quota) for quota in exact]
    open_to_one = [c for c, count in enumerate(counts) if count + 1 < room[c]]
    open_to_one.sort(key=lambda c: (counts[c] - exact[c], ties[c]))
    for c in islice(open_to_one, total - sum(counts)):
        counts[c] += 1
    return counts


def _first_of_each(
    labels: Tensor, counts: Sequence[int], keys: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Order each class's rows by their keys; the first `counts[c]` of class c are carved."""
    numbers = labels.cpu().numpy()
    order = np.lexsort((keys, numbers))
    ends = np.cumsum(np.bincount(numbers, minlength=len(counts)))
    grouped = numbers[order]
    begin = np.concatenate([[0], ends[:-1]])[grouped]
    first = np.arange(len(order)) - begin < np.asarray(counts)[grouped]
    return (
        torch.from_numpy(np.sort(order[~first]).astype(np.int64)),
        torch.from_numpy(np.sort(order[first]).astype(np.int64)),
    )


def _few(said: Sequence[str]) -> str:
    return ", ".join(said[:8]) + (f" and {len(said) - 8} more" if len(said) > 8 else "")
