"""Some of all pairs of many images, drawn without making a list of all of them."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from stillhouse.verification.pairs import Pairs, Whole, all_pairs

MOST_PAIRS = 2_000_000
"""Of a table: 34 MB, and a second to sort their scores. They show a FAR down to one in a million,
of far fewer independent people."""


def drawn_pairs(person: npt.ArrayLike, most: int = MOST_PAIRS, seed: int = 0) -> tuple[Pairs, int]:
    """All pairs of these images; of more than ``most`` a part that is a function of the seed.

    Pairs of one person are the fewer, so they are drawn apart: up to half of ``most``, and more
    where there are not as many different ones. Rates (TAR, FAR, AUC, EER) are shares of either
    kind, so this changes what they are known to, and not what they are; an accuracy over all pairs
    would be another one.

    Args:
        person: who is on each image; [M].
        most: pairs, 2 or more.
        seed: of the draw, by raw PCG64 numbers.

    Returns:
        The pairs, in the order of `all_pairs`, and how many there are in all.

    Raises:
        DataError: see `all_pairs`.

    >>> pairs, there = drawn_pairs([0, 0, 0, 1, 1, 2, 3], 8)
    >>> len(pairs), int(pairs.same.sum()), there
    (8, 4, 21)
    """
    who = np.asarray(person)
    images = len(who)
    there = images * (images - 1) // 2
    if there <= most:
        return all_pairs(who), there
    order = np.argsort(who, kind="stable")
    counts = np.unique(who, return_counts=True)[1]
    inside = counts * (counts - 1) // 2
    same = int(inside.sum())
    if same in (0, there):
        return all_pairs(who[:3] if same else np.arange(3)), there  # says what is missing
    alike = min(same, max(most // 2, most - (there - same)))
    numbers = np.random.PCG64([seed, 0])
    chosen = _distinct(numbers, same, alike)
    of = np.searchsorted(np.cumsum(inside), chosen, side="right")
    start, before = np.cumsum(counts) - counts, np.cumsum(inside) - inside
    low, high = _triangle(chosen - before[of])
    one = [order[start[of] + low], order[start[of] + high]]
    other = _different(np.random.PCG64([seed, 1]), who, there - same, most - alike)
    first, second = (np.concatenate(side) for side in zip(one, other, strict=True))
    first, second = np.minimum(first, second), np.maximum(first, second)
    rank = np.lexsort((second, first))
    first, second = first[rank].astype(np.int64), second[rank].astype(np.int64)
    return Pairs(first, second, who[first] == who[second]), there


def _triangle(number: Whole) -> tuple[Whole, Whole]:
    """The pair (i, j), i < j, of each number ``j (j - 1) / 2 + i``.

    >>> low, high = _triangle(np.arange(6))
    >>> list(zip(low.tolist(), high.tolist()))
    [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    """
    high = ((1 + np.sqrt(1 + 8 * number.astype(np.float64))) / 2).astype(np.int64)
    high -= high * (high - 1) // 2 > number  # where the root was rounded
    high += (high + 1) * high // 2 <= number
    return number - high * (high - 1) // 2, high


def _distinct(numbers: np.random.PCG64, of: int, count: int) -> Whole:
    """So many different numbers below ``of``, rising."""
    if 2 * count > of:  # the fewer are drawn
        left = np.ones(of, dtype=bool)
        left[_distinct(numbers, of, of - count)] = False
        return np.flatnonzero(left)
    found = np.zeros(0, dtype=np.int64)
    for more in _raw(numbers, of, count):
        if len(found) >= count:
            break
        found = _first(np.concatenate([found, more]), count)
    return np.sort(found)


def _different(
    numbers: np.random.PCG64, who: npt.NDArray[np.int64], there: int, count: int
) -> tuple[Whole, Whole]:
    """So many of the pairs of different people."""
    images = len(who)
    if 2 * count > there:  # then there are not many more than are wanted
        low, high = np.triu_indices(images, 1)
        other = np.flatnonzero(who[low] != who[high])
        kept = other[_distinct(numbers, there, count)]
        return low[kept], high[kept]
    found = np.zeros(0, dtype=np.int64)
    for more in _raw(numbers, images * (images - 1) // 2, count):
        if len(found) >= count:
            break
        low, high = _triangle(more)
        found = _first(np.concatenate([found, more[who[low] != who[high]]]), count)
    return _triangle(found)


def _raw(numbers: np.random.PCG64, of: int, count: int) -> Iterator[Whole]:
    while True:
        yield (numbers.random_raw(count) % np.uint64(of)).astype(np.int64)


def _first(values: Whole, count: int) -> Whole:
    """The first so many different values, in the order in which they were drawn."""
    at = np.unique(values, return_index=True)[1]
    return values[np.sort(at)[:count]]
