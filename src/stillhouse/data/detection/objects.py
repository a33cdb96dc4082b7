"""Annotations in the form of Hugging Face: a column of images, and one of objects with boxes.

``objects`` holds for each image lists ``bbox`` and ``category``, or a list of such pairs; maybe
``area``, ``id``, and ``iscrowd`` or ``difficult``. Of parquet files, a folder of save_to_disk, the
hub, or a `Dataset` (`DatasetDict`) that was loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.data.detection.annotations import Annotated, Floats, Found
from stillhouse.data.detection.box_forms import SHARES, XYWH, XYXY, corners, four_numbers
from stillhouse.data.detection.image_files import size_of
from stillhouse.data.detection.object_columns import ObjectTable
from stillhouse.data.detection.said_of_boxes import areas, class_name, flags
from stillhouse.data.sources.arrow import ArrowImages
from stillhouse.data.sources.find import HUB
from stillhouse.data.sources.hugging_face import (
    files_of,
    hub_dataset,
    is_saved,
    named_splits,
    saved_dataset,
    split_files,
)
from stillhouse.data.sources.labelled_splits import natural
from stillhouse.errors import DataError
from stillhouse.faults import first_line

PARQUET, LIKELY = ".parquet", 0.02
"""LIKELY: of boxes that reach out of their image, the share from which their form is in doubt."""


@dataclass(frozen=True)
class ArrowImage:
    """One encoded image of a table."""

    images: ArrowImages
    row: int

    def read_bytes(self) -> bytes:
        """All of it. Raises DataError where the row has none."""
        return self.images.open(self.row).read()


def is_objects(source: Any) -> bool:
    """Whether it looks like a dataset of Hugging Face."""
    if not isinstance(source, str | Path):
        return hasattr(source, "with_format") or isinstance(source, Mapping)
    if str(source).startswith(HUB):
        return True
    path = Path(source)
    if path.is_file():
        return path.suffix == PARQUET
    return path.is_dir() and (is_saved(path) or bool(files_of(path, PARQUET)))


def read_objects(source: Any, image: str | None, objects: str | None, form: str | None) -> Found:
    """The images of a dataset with their boxes.

    Args:
        source: see above.
        image, objects: the columns, where they are not the only ones that can be.
        form: what the four numbers of a box are (`FORMS`); None: x, y, width, height in pixels,
            and refused where they look otherwise.

    Raises:
        DataError: columns that are missing or not clear, a category without a name, an id twice,
            an image that is missing, or boxes that look like another form.
    """
    tables, notes, open_paths = _tables(source)
    names: tuple[str, ...] | None = None
    rows: dict[str, list[_Row]] = {}
    for split, pieces in tables.items():
        read = [ObjectTable(file, table, image, objects) for file, table in pieces]
        images = ArrowImages([each.piece for each in read], open_paths)
        rows[split] = [
            _Row(ArrowImage(images, at), images.where(at), one)
            for at, one in enumerate(each for one in read for each in one.told())
        ]
        _once(rows[split], read)
        for each in read:
            if names is not None and each.names is not None and each.names != names:
                raise DataError(f"{each.file} names the categories differently than before it")
            names = names or each.names
    chosen = form or _settled([row for split in rows.values() for row in split])
    classes = names or _named(rows["train"])
    parts = {
        split: [row.annotated(classes, chosen) for row in found] for split, found in rows.items()
    }
    return Found(parts, classes, tuple(notes))


def _tables(source: Any) -> tuple[dict[str, list[tuple[str, Any]]], list[str], bool]:
    """The Arrow tables of each split, what was left out, and whether rows may name files."""
    if not isinstance(source, str | Path):
        name, loaded, paths = type(source).__name__, source, True
    elif str(source).startswith(HUB):
        name, paths = str(source).removeprefix(HUB), True
        loaded = hub_dataset(name)
    elif Path(source).is_dir() and is_saved(Path(source)):
        name, loaded, paths = Path(source).resolve().name, saved_dataset(Path(source)), False
    else:
        files = split_files(Path(source), PARQUET)
        return {s: [(f.name, _parquet(f)) for f in files[s]] for s in files}, [], False
    tables, notes = named_splits(name, loaded)
    return {split: [(f"{name} {split}", table)] for split, table in tables.items()}, notes, paths


def _parquet(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(file, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as parquet ({first_line(error)})") from error


def _once(rows: Sequence["_Row"], read: Sequence[ObjectTable]) -> None:
    """Ids of images and of objects are unique. Raises DataError."""
    ids = [("image_id", each) for table in read for each in table.image_ids()]
    ids += [("id of an object", each) for row in rows for each in row.told["id"]]
    seen: set[tuple[str, Any]] = set()
    for one in ids:
        if one in seen and one[1] is not None:
            raise DataError(
                f"{read[0].file}: two rows have the {one[0]} {one[1]!r}; ids are unique"
            )
        seen.add(one)


def _named(rows: Sequence["_Row"]) -> tuple[str, ...]:
    """The categories that occur in train, where nobody declares them."""
    said = {class_name(each, row.where) for row in rows for each in row.told["category"]}
    return tuple(sorted(said, key=natural))


class _Row:
    """One image and what is said of it."""

    def __init__(self, image: ArrowImage, where: str, told: Mapping[str, Any]) -> None:
        self.image, self.where, self.told = image, where, told
        self.values: Floats = four_numbers(told["bbox"], where)
        self.size = size_of(image, where)
        lengths = {len(told[name]) for name in ("bbox", "category")}
        lengths |= {len(told[name]) for name in ("area", "ignored") if told[name]}
        if len(lengths) > 1:
            raise DataError(f"{where}: its lists of boxes and categories differ in length")

    def annotated(self, classes: tuple[str, ...], form: str) -> Annotated:
        """Its boxes, whose numbers are of this form."""
        count = len(self.values)
        area, ignored = self.told["area"] or [None] * count, self.told["ignored"] or [0] * count
        return Annotated(
            self.image,
            self.where,
            self.size,
            corners(self.values, form, self.size),
            tuple(self._name(each, classes) for each in self.told["category"]),
            flags(ignored, self.where),
            areas(area, self.where),
        )

    def _name(self, category: Any, classes: tuple[str, ...]) -> str:
        if isinstance(category, str) or str(category) in classes:
            return str(category)
        if isinstance(category, int) and 0 <= category < len(classes):
            return classes[category]
        raise DataError(
            f"{self.where}: a box is of category {category!r}, which is not declared; there are "
            f"{len(classes)}, from 0: {', '.join(classes[:8])}"
        )


def _settled(rows: Sequence[_Row]) -> str:
    """x, y, width, height. Raises DataError where they look like another form."""
    known = [(row.values[np.isfinite(row.values).all(1)], row.size) for row in rows]
    values = np.concatenate([each for each, _ in known] or [np.zeros((0, 4))])
    if len(values) and values.max() <= 1 and values.min() >= 0:
        raise DataError(
            "all numbers of the boxes are between 0 and 1, so they look like shares of the image; "
            f"say which (data.boxes: xywh{SHARES}, xyxy{SHARES} or cxcywh{SHARES}), or {XYWH} "
            "where they are pixels"
        )
    out = {form: _outside(known, form) for form in (XYWH, XYXY)}
    if out[XYWH] > LIKELY * len(values) and out[XYXY] < out[XYWH]:
        raise DataError(
            f"{out[XYWH]:,} of {len(values):,} boxes reach out of their image as x, y, width, "
            f"height, and {out[XYXY]:,} as corners; say what they are (data.boxes: {XYXY} or "
            f"{XYWH})"
        )
    return XYWH


def _outside(known: Sequence[tuple[Floats, tuple[int, int]]], form: str) -> int:
    """How many boxes of this form reach out of their image, or have no width or height."""
    count = 0
    for values, size in known:
        box = corners(values, form, size)
        sides = np.array([*size, *size]) + 1.0
        count += int(((box > sides).any(1) | (box[:, 2:] <= box[:, :2]).any(1)).sum())
    return count
