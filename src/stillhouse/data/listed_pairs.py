"""Which images a file of pairs names, as LFW's list does, and whether they can be compared."""

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize  # some systems write an accent of a name apart from its letter

import numpy as np

from stillhouse.data.pairs_file import FOLD, WANTED, Line, read_lines
from stillhouse.data.pool import Pool
from stillhouse.errors import DataError, nearest
from stillhouse.verification.pairs import Pairs

MOST_COMPARED = 20_000
"""Names that a name which is none of them is compared with: a second."""


@dataclass(frozen=True)
class ListedPairs:
    """The pairs of a file, of the folds that were asked for.

    Args:
        file: its name.
        pairs: in terms of the rows of a `Pool`.
    """

    file: str
    pairs: Pairs

    def __str__(self) -> str:
        folds = [] if self.pairs.fold is None else np.unique(self.pairs.fold).tolist()
        of = f" of folds {', '.join(map(str, folds))}" if folds else ""
        return f"{len(self.pairs):,} pairs{of} ({self.file})"


def read_pairs(path: Path, pool: Pool, folds: Sequence[int] | None = None) -> ListedPairs:
    """Read a file of pairs and find their images.

    A line is ``first,second,same,fold``: names as the source has them, of which folders in front
    and the suffix may be left out; 1 where both are one person, else 0; the fold, a whole number,
    which each line has or none. Images without names are named by their row, from 0 (``test/0``
    where there are several splits).

    Args:
        path: a .csv, or a .tsv with tabs.
        pool: the images.
        folds: those that are compared; None: all.

    Raises:
        DataError: it is no such file; a name of no image or of several; a pair of an image with
            itself, or twice; ``same`` against the labels; folds that there are not, or one alone;
            pairs of one kind alone.
    """
    lines = list(read_lines(path))
    if not lines:
        raise DataError(f"{path} has a header and no pairs; {WANTED}")
    index = _Index(pool)
    found = [(index.rows(line.first), index.rows(line.second)) for line in lines]
    _refuse_names(path, pool, lines, found, index)
    first = np.array([one[0] for one, _ in found], dtype=np.int64)
    second = np.array([other[0] for _, other in found], dtype=np.int64)
    same = np.array([line.same for line in lines])
    _refuse_pairs(path, pool, lines, first, second, same)
    fold = None
    if lines[0].fold is not None:
        fold = np.array([line.fold for line in lines], dtype=np.int64)
    kept = _of_folds(path, fold, folds, len(lines))
    pairs = Pairs(first[kept], second[kept], same[kept], None if fold is None else fold[kept])
    _refuse_one_kind(path, pairs, folds)
    return ListedPairs(path.name, pairs)


class _Index:
    """The images of a source by the last part of their names, with and without suffix."""

    def __init__(self, pool: Pool) -> None:
        self.names = [normalize("NFC", pool.image_name(row)) for row in range(len(pool))]
        self.by: dict[str, list[int]] = {}
        for row, name in enumerate(self.names):
            last = posixpath.basename(name)
            for key in {last, posixpath.splitext(last)[0]}:
                self.by.setdefault(key, []).append(row)

    def rows(self, name: str) -> list[int]:
        """The images that a name may mean: one, where it is a good one."""
        plain = posixpath.normpath(normalize("NFC", name).replace("\\", "/"))
        found = []
        for row in self.by.get(posixpath.basename(plain), []):
            whole = self.names[row]
            if whole == plain:
                return [row]
            ways = (whole, posixpath.splitext(whole)[0])
            if any(way == plain or way.endswith(f"/{plain}") for way in ways):
                found.append(row)
        return found


_Found = Sequence[tuple[list[int], list[int]]]


def _refuse_names(
    path: Path, pool: Pool, lines: Sequence[Line], found: _Found, index: _Index
) -> None:
    sides = [
        (line.number, name, rows)
        for line, both in zip(lines, found, strict=True)
        for name, rows in zip((line.first, line.second), both, strict=True)
    ]
    unknown = [(number, name) for number, name, rows in sides if not rows]
    if unknown:
        number, name = unknown[0]
        many = len({name for _, name in unknown})
        all_of = len({name for _, name, _ in sides})
        foreign = 2 * many > all_of
        hint = "is it of another data set?" if foreign else "mend these lines, or drop them"
        close = nearest(posixpath.basename(name), sorted(index.by)[:MOST_COMPARED])
        raise DataError(
            f"{path.name}, line {number}: '{name}' names no image of '{pool.source.name}'; "
            f"{close}. {many:,} of the {all_of:,} names in the file name none: {hint}"
        )
    several = [(number, name, rows) for number, name, rows in sides if len(rows) > 1]
    if several:
        number, name, rows = several[0]
        which = ", ".join(index.names[row] for row in rows[:3])
        raise DataError(
            f"{path.name}, line {number}: '{name}' names {len(rows)} images of "
            f"'{pool.source.name}' ({which}{', ...' if len(rows) > 3 else ''}); write the folders "
            "in front of it, too"
        )


def _refuse_pairs(
    path: Path,
    pool: Pool,
    lines: Sequence[Line],
    first: np.ndarray,
    second: np.ndarray,
    same: np.ndarray,
) -> None:
    """Raises DataError for the first pair of each kind that is none."""

    def refuse(wrong: np.ndarray, said: Callable[[int], str], advice: str) -> None:
        if wrong.any():
            at = int(wrong.argmax())
            more = int(wrong.sum()) - 1
            others = f" ({more:,} more such line{'s' if more > 1 else ''})" if more else ""
            raise DataError(f"{path.name}, line {lines[at].number}: {said(at)}{others}; {advice}")

    def both(at: int) -> str:
        return f"{lines[at].first} and {lines[at].second}"

    refuse(first == second, lambda at: f"{both(at)} are one image",
           "an image is not compared with itself: drop the line")  # fmt: skip
    low, high = np.minimum(first, second), np.maximum(first, second)
    key = low * len(pool) + high
    _, place, back = np.unique(key, return_index=True, return_inverse=True)
    again = place[back] != np.arange(len(key))
    refuse(again, lambda at: f"{both(at)} are compared in line {lines[place[back[at]]].number} "
           "already", "either way round it is one pair: drop the line")  # fmt: skip
    who, names = pool.label.numpy(), pool.source.classes
    agree = who[first] == who[second]

    def told(at: int) -> str:
        one, other = names[who[first[at]]], names[who[second[at]]]
        labels = f"both are '{one}'" if agree[at] else f"they are '{one}' and '{other}'"
        return f"same is {int(same[at])} for {both(at)}, and by the labels {labels}"

    refuse(agree != same, told, "mend same, or the label")


def _of_folds(
    path: Path, fold: np.ndarray | None, asked: Sequence[int] | None, count: int
) -> np.ndarray:
    """Which pairs are of these folds. Raises DataError for folds that there are not."""
    if fold is None:
        if asked is not None:
            raise DataError(
                f"folds {list(asked)} are asked for (data.folds), and {path} has no column '{FOLD}'"
            )
        return np.ones(count, dtype=bool)
    there = np.unique(fold).tolist()
    wanted = there if not asked else sorted(set(asked))
    absent = [each for each in wanted if each not in there]
    if absent:
        raise DataError(
            f"{path} has no fold {absent[0]} (data.folds); it has {', '.join(map(str, there))}"
        )
    if len(wanted) < 2:
        raise DataError(
            f"all pairs of {path.name} that are compared are in fold {wanted[0]}: a threshold is "
            "chosen on other folds than it is judged on, so give two folds or more, or leave the "
            f"column '{FOLD}' out"
        )
    return np.isin(fold, wanted)


def _refuse_one_kind(path: Path, pairs: Pairs, folds: Sequence[int] | None) -> None:
    if not len(pairs) or pairs.same.all() or not pairs.same.any():
        of = "" if folds is None else f" of folds {', '.join(map(str, folds))}"
        same = int(pairs.same.sum())
        raise DataError(
            f"{path}: {same} pairs{of} are of one person and {len(pairs) - same} of different "
            "people; verification needs both"
        )
