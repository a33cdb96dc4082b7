"""A source of images with boxes as splits: which of the four formats it is, read and checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from stillhouse.data.detection.annotations import Annotated, checked
from stillhouse.data.detection.coco import read_coco
from stillhouse.data.detection.table import BoxTable, frame_of
from stillhouse.data.detection.views import BoxViews
from stillhouse.data.sources.known import absent, is_known
from stillhouse.data.sources.labelled_splits import SourceSplits, split_named
from stillhouse.errors import DataError
from stillhouse.records.places import located

Parts = tuple[dict[str, list[Annotated]], tuple[str, ...]]

FORMATS = (
    "COCO: a folder train/ (val/, test/) of images with one JSON file of annotations in each, or "
    "one JSON file"
)


def read_boxes(source: Any, *, longest: int | None = None) -> SourceSplits:
    """The splits of a source of images with boxes.

    Args:
        source: a folder or file of COCO's, YOLO's or Pascal VOC's form, or a dataset of Hugging
            Face with a column ``objects``.
        longest: the longer side of images as they are shown; None: as they are.

    Raises:
        DataError: it is none of these, or its annotations do not hold together.
    """
    name, (parts, classes) = _read(source)
    found = checked(parts, classes)
    rows = [row for images in found.parts.values() for row in images]
    frame, most = frame_of([row.size for row in rows], longest), max(len(r.boxes) for r in rows)
    tables = {
        split: BoxTable(
            torch.zeros(len(images), dtype=torch.int64),
            rows=tuple(images),
            classes=classes,
            frame=frame,
            longest=longest,
            views=BoxViews(),
            most=max(most, 1),
        )
        for split, images in found.parts.items()
    }
    if "train" not in tables:
        raise DataError(f"'{name}' has no split to train on, only {', '.join(tables)}")
    return SourceSplits(name, tables, classes, found.notes)


def _read(source: Any) -> tuple[str, Parts]:
    if not isinstance(source, str | Path):
        raise DataError(f"a source of boxes is a folder or a file, not a {type(source).__name__}")
    if is_known(source):
        raise DataError(absent(str(source)))
    path = located(source)
    if path.is_file() and path.suffix == ".json":
        images, classes = read_coco(path)
        return path.stem, ({"train": images}, classes)
    if path.is_dir():
        found = _coco_folders(path)
        if found is not None:
            return path.name, found
    raise DataError(f"'{source}' is no source of images with boxes; wanted is {FORMATS}")


def _coco_folders(path: Path) -> Parts | None:
    """A folder for each split with its file of annotations; None where there is none."""
    files: dict[str, list[Path]] = {}
    for folder in sorted(each for each in path.iterdir() if each.is_dir()):
        split = split_named(folder.name)
        found = sorted(folder.glob("*.json")) if split else []
        if split and found:
            files.setdefault(split, []).extend(found)
    if not files:
        return None
    several = {split: found for split, found in files.items() if len(found) > 1}
    if several:
        split, found = next(iter(several.items()))
        names = ", ".join(each.name for each in found)
        raise DataError(
            f"'{path}' has several files of annotations for {split} ({names}); keep one"
        )
    read = {split: read_coco(found) for split, (found,) in files.items()}
    return {split: images for split, (images, _) in read.items()}, one_list(
        {split: classes for split, (_, classes) in read.items()}, path
    )


def one_list(classes: Mapping[str, Sequence[str]], path: Path) -> tuple[str, ...]:
    """The classes of all splits. Raises DataError where these differ."""
    first, *others = classes
    for split in others:
        if tuple(classes[split]) != tuple(classes[first]):
            raise DataError(
                f"'{path}': {split} declares the classes {', '.join(classes[split])}, and {first} "
                f"{', '.join(classes[first])}; declare the same ones in the same order"
            )
    return tuple(classes[first])
