"""A file of pairs: which images are compared, by name, as LFW's list has it."""

import csv
import io
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stillhouse.data.pool import Pool
from stillhouse.errors import DataError, nearest
from stillhouse.records.names import at_home
from stillhouse.verification.pairs import Pairs

COLUMNS = ("first", "second", "same")
FOLD = "fold"
WANTED = (
    f"wanted is a header, {','.join(COLUMNS)},{FOLD} ({FOLD} may be left out), and a line a pair"
)
DELIMITERS = {".tsv": "\t"}
LONGEST = 2**28
"""Bytes of a file of pairs, 256 MB: some million pairs."""
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


class _Line(NamedTuple):
    number: int
    first: str
    second: str
    same: bool
    fold: int | None


def pairs_file(pairs: str | Path, source: object) -> Path:
    """Where a file of pairs is: as it is written, else in the folder of the data.

    Raises:
        DataError: in neither.
    """
    written = at_home(pairs)
    places = [written]
    if isinstance(source, str | Path) and not written.is_absolute():
        folder = at_home(source)
        places.append((folder if folder.is_dir() else folder.parent) / written)
    for place in places:
        if place.is_file():
            return place
    beside = sorted(path.name for path in places[-1].parent.glob("*.[ct]sv"))
    looked = " nor ".join(map(str, places))
    raise DataError(
        f"there is no file of pairs {looked} (data.pairs); {nearest(written.name, beside)}"
    )


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
    lines = list(_lines(path))
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


def _lines(path: Path) -> Iterator[_Line]:
    rows = csv.reader(io.StringIO(_text(path)), delimiter=DELIMITERS.get(path.suffix.lower(), ","))
    try:
        names = [name.strip() for name in next(rows, [])]
        at = _columns(path, names)
        for cells in rows:
            if any(cell.strip() for cell in cells):
                yield _line(path, rows.line_num, names, cells, at)
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: {error}; {WANTED}") from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LONGEST:
            raise OSError(f"it has {path.stat().st_size:,} bytes; {LONGEST:,} are the most")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8; save the file of pairs as UTF-8") from error
    except OSError as error:
        raise DataError(f"the file of pairs {path} cannot be read ({error})") from error
    if not text.strip():
        raise DataError(f"the file of pairs {path} is empty; {WANTED}")
    return text


def _columns(path: Path, names: list[str]) -> dict[str, int]:
    missing = [name for name in COLUMNS if name not in names]
    twice = [name for name in (*COLUMNS, FOLD) if names.count(name) > 1]
    if missing or twice:
        said = f"has no column '{missing[0]}'" if missing else f"has the column '{twice[0]}' twice"
        other = next((mark for mark in ";\t|," if len(names) == 1 and mark in names[0]), None)
        if other is not None:
            said = f"parts its columns by {other!r}, and a {path.suffix} by " + repr(
                DELIMITERS.get(path.suffix.lower(), ",")
            )
        raise DataError(f"{path} {said}; its first line is '{','.join(names)[:80]}', and {WANTED}")
    return {name: names.index(name) for name in (*COLUMNS, FOLD) if name in names}


def _line(path: Path, number: int, names: list[str], cells: list[str], at: dict[str, int]) -> _Line:
    where = f"{path.name}, line {number}"
    if len(cells) != len(names):
        raise DataError(f"{where} has {len(cells)} values for {len(names)} columns; {WANTED}")
    value = {name: cells[place].strip() for name, place in at.items()}
    empty = [name for name in value if not value[name]]
    if empty:
        raise DataError(f"{where}: '{empty[0]}' is empty; fill it or drop the line")
    if value["same"] not in ("0", "1"):
        raise DataError(
            f"{where}: same is '{value['same']}'; it is 1 for two images of one person, else 0"
        )
    fold = value.get(FOLD)
    if fold is not None and not (fold.isascii() and fold.isdigit() and len(fold) < 10):
        raise DataError(f"{where}: fold is '{fold}'; it is a whole number, 0 or above")
    same = value["same"] == "1"
    return _Line(number, value["first"], value["second"], same, None if fold is None else int(fold))


class _Index:
    """The images of a source by the last part of their names, with and without suffix."""

    def __init__(self, pool: Pool) -> None:
        self.names = [pool.image_name(row) for row in range(len(pool))]
        self.by: dict[str, list[int]] = {}
        for row, name in enumerate(self.names):
            last = posixpath.basename(name)
            for key in {last, posixpath.splitext(last)[0]}:
                self.by.setdefault(key, []).append(row)

    def rows(self, name: str) -> list[int]:
        """The images that a name may mean: one, where it is a good one."""
        plain = posixpath.normpath(name.replace("\\", "/"))
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
    path: Path, pool: Pool, lines: Sequence[_Line], found: _Found, index: _Index
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
    lines: Sequence[_Line],
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
