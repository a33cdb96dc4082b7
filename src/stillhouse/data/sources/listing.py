"""A file that lists images and their labels: a .csv or .tsv with a header."""

from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.data.sources.columns import LABEL_NAMES, is_text
from stillhouse.data.sources.folder import FileImages
from stillhouse.data.sources.labelled_splits import (
    SPLITS,
    SourceSplits,
    number_labels,
    split_named,
    unlabelled,
)
from stillhouse.data.sources.pictures import picture_tables
from stillhouse.errors import DataError, nearest

SUFFIXES = {".csv": ",", ".tsv": "\t"}
PATH_NAMES = ("image", "path", "file", "filename", "file_name", "image_path", "filepath", "img")
SPLIT = "split"


def read_listing(
    path: Path, image: str | None, label: str | None, *, labelled: bool = True
) -> SourceSplits:
    """Read images that a table names, beside their labels: one row each.

    Paths are relative to the folder of the table, or absolute. A column `split` (train, validation,
    test) says where a row belongs; without it all rows are `train`.

    Args:
        path: the .csv or .tsv; its first line names the columns.
        image: the column of paths; the first that is called as in `PATH_NAMES`.
        label: the column of labels; the first that is called as in `LABEL_NAMES`.
        labelled: whether labels are read at all.

    Raises:
        DataError: it cannot be read, columns that are missing or not clear, empty cells, and what
            `picture_tables` and `number_labels` refuse.
    """
    columns = _columns(path)
    names = _column(path, columns, image, PATH_NAMES, "image")
    labels = unlabelled(len(names))
    if labelled:
        labels = _column(path, columns, label, LABEL_NAMES, "label")
    if not names.dtype.kind == "O":
        raise DataError(f"{path}: the column of paths holds {names.dtype}; wanted is text")
    if labelled:
        _refuse_two_labels(path, names, labels)
    where_of = _splits(path, columns, len(names))
    images, raw, rows = {}, {}, {}
    for split in (each for each in SPLITS if each in where_of):
        rows[split] = where_of[split]
        images[split] = FileImages(path.parent, names[rows[split]].tolist())
        raw[split] = labels[rows[split]]
    numbered = number_labels(raw, lambda split, at: _line(path, rows[split][at]))
    tables = picture_tables(images, numbered.labels)
    return SourceSplits(path.stem, tables, numbered.classes, (), numbered.open_only, images)


def _refuse_two_labels(path: Path, names: np.ndarray, labels: np.ndarray) -> None:
    """An image of two labels is wrong in one of them."""
    known: dict[str, int] = {}
    for row, name in enumerate(names.tolist()):
        before = known.setdefault(name, row)
        if labels[before] != labels[row]:
            raise DataError(
                f"{_line(path, row)}: {name} has the label {labels[row]}, and in line {before + 2} "
                f"the label {labels[before]}; leave out the wrong line"
            )


def _line(path: Path, row: int) -> str:
    return f"{path.name}, line {row + 2}"


def _columns(path: Path) -> dict[str, np.ndarray]:
    import pyarrow as pa
    from pyarrow import csv

    try:
        table: Any = csv.read_csv(
            path, parse_options=csv.ParseOptions(delimiter=SUFFIXES[path.suffix.lower()])
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a table ({str(error).splitlines()[0]}); wanted is a header, "
            "path,label, and a line for each image"
        ) from error
    twice = sorted({n for n in table.column_names if table.column_names.count(n) > 1})
    if twice:
        raise DataError(f"{path} has the column '{twice[0]}' twice; rename one of them")
    found = {}
    for name in table.column_names:
        if str(table.schema.field(name).type) == "binary":  # what pyarrow makes of other encodings
            raise DataError(f"{path}: the column '{name}' is not UTF-8; save the file as UTF-8")
        column = table.column(name)
        if is_text(column.type):
            found[name] = np.array(column.to_pylist(), dtype=object)
        else:
            found[name] = column.to_numpy()
        if column.null_count:
            found[name] = np.array(column.to_pylist(), dtype=object)
    return found


def _column(
    path: Path, columns: dict[str, np.ndarray], named: str | None, usual: tuple[str, ...], role: str
) -> np.ndarray:
    found = [name for name in ([named] if named else usual) if name in columns]
    if not found:
        said = f"no column '{named}'" if named else f"no column {', '.join(usual)}"
        close = f"; {nearest(named, columns)}" if named else ""
        raise DataError(
            f"{path} has {said}{close}: say {role}= (recipe key data.{role}). The columns are: "
            f"{', '.join(columns)}"
        )
    values = columns[found[0]]
    empty = [row for row, value in enumerate(values.tolist()) if value is None or value == ""]
    if empty:
        raise DataError(
            f"{_line(path, empty[0])}: the {role} is empty, as in {len(empty)} lines in all; fill "
            "it or drop the line"
        )
    return values


def _splits(path: Path, columns: dict[str, np.ndarray], count: int) -> dict[str, list[int]]:
    if SPLIT not in columns:
        return {"train": list(range(count))}
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(columns[SPLIT].tolist()):
        split = split_named(str(name))
        if split is None:
            raise DataError(
                f"{_line(path, row)}: the split is '{name}'; wanted is one of {', '.join(SPLITS)}"
            )
        rows.setdefault(split, []).append(row)
    if "train" not in rows:
        raise DataError(f"{path} has no row of the split train; it has: {', '.join(rows)}")
    return rows
