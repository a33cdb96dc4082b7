"""A file of pairs, as it is written: where it is, its header, and its lines."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stillhouse.errors import DataError, nearest
from stillhouse.records.names import at_home
from stillhouse.records.places import located

COLUMNS = ("first", "second", "same")
FOLD = "fold"
WANTED = (
    f"wanted is a header, {','.join(COLUMNS)},{FOLD} ({FOLD} may be left out), and a line a pair"
)
DELIMITERS = {".tsv": "\t"}
LONGEST = 2**28
"""Bytes of a file of pairs, 256 MB: some million pairs."""


class Line(NamedTuple):
    """A pair by the names of its images, and where it is written."""

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
        folder = located(source)
        places.append((folder if folder.is_dir() else folder.parent) / written)
    places = list(dict.fromkeys([*places, located(pairs)]))
    for place in places:
        if os.path.isfile(place):
            return place
    folders = [place.parent for place in places if place.parent.is_dir()]
    beside = sorted({path.name for folder in folders for path in folder.glob("*.[ct]sv")})
    close = f"; {nearest(written.name, beside)}" if beside else ""
    looked = " nor at ".join(map(str, places))
    raise DataError(f"there is no file of pairs at {looked} (data.pairs){close}; {WANTED}")


def read_lines(path: Path) -> Iterator[Line]:
    """The pairs of a file, as they are named there.

    Raises:
        DataError: it cannot be read, or is empty; a column that is missing or comes twice; a cell
            that is empty, or holds what it cannot.
    """
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


def _line(path: Path, number: int, names: list[str], cells: list[str], at: dict[str, int]) -> Line:
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
    return Line(number, value["first"], value["second"], same, None if fold is None else int(fold))
