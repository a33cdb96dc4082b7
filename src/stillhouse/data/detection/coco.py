"""Annotations in COCO's form: one JSON file beside the images, boxes as x, y, width, height."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.data.detection.annotations import Annotated, Found
from stillhouse.data.detection.box_forms import XYWH, corners, four_numbers
from stillhouse.data.detection.image_files import named_file, size_of
from stillhouse.data.detection.said_of_boxes import areas, class_name, flags
from stillhouse.data.sources.labelled_splits import natural, split_named
from stillhouse.errors import DataError

OFFICIAL = "annotations"
"""The folder in which COCO's own archives have their JSON files."""
_SPLIT = re.compile(r"(?:instances_)?(train|val|test)\d*")


def is_coco(path: Path) -> bool:
    """Whether a path looks like COCO's form: a JSON file, or a folder of splits with such."""
    return (path.is_file() and path.suffix == ".json") or (path.is_dir() and bool(_files(path)))


def read_coco_source(path: Path) -> Found:
    """A JSON file, or a folder with one for each split.

    Raises:
        DataError: a split with several files, splits with other classes, and what `read_coco`
            refuses.
    """
    if path.is_file():
        images, classes = read_coco(path)
        return Found({"train": images}, classes)
    files = _files(path)
    for split, found in files.items():
        if len(found) > 1:
            names = ", ".join(each.name for each in found)
            raise DataError(
                f"'{path}' has several files of annotations for {split} ({names}); keep one"
            )
    read = {split: read_coco(found, _folders(found, path)) for split, (found,) in files.items()}
    classes = one_list({split: classes for split, (_, classes) in read.items()}, path)
    return Found({split: images for split, (images, _) in read.items()}, classes)


def _files(path: Path) -> dict[str, list[Path]]:
    """Split -> its JSON files: in a folder of its name, or in ``annotations``."""
    files: dict[str, list[Path]] = {}
    for folder in sorted(each for each in path.iterdir() if each.is_dir()):
        split = split_named(folder.name)
        found = sorted(folder.glob("*.json")) if split else []
        if split and found:
            files.setdefault(split, []).extend(found)
    for file in [] if files else sorted((path / OFFICIAL).glob("*.json")):
        match = _SPLIT.fullmatch(file.stem)
        split = split_named(match[1]) if match else None
        if split:
            files.setdefault(split, []).append(file)
    return files


def _folders(file: Path, root: Path) -> list[Path]:
    """Where the images of a JSON file may lie, the likeliest first."""
    own = file.stem.removeprefix("instances_")
    if file.parent.name == OFFICIAL and file.parent.parent == root:
        return [root / own, root / "images" / own, root / "images", root]
    return [file.parent, file.parent / "images", file.parent / file.stem]


def read_coco(
    path: Path, folders: Sequence[Path] | None = None
) -> tuple[list[Annotated], tuple[str, ...]]:
    """The images of a file of annotations, and the names of its classes by rising id.

    Args:
        path: the JSON file.
        folders: where images are looked for; None: beside the file, in ``images`` or in a folder
            of the file's name.

    Raises:
        DataError: it is no such file, an id is there twice or is not there, an image is missing.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
        known = [_entries(found[key], key) for key in ("images", "annotations", "categories")]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"'{path}' is no file of COCO annotations (images, annotations, categories): "
            f"{type(error).__name__}: {error}"
        ) from error
    entries, boxes, categories = known
    names = _by_id(categories, "category", path)
    of_image: dict[Any, list[Mapping[str, Any]]] = {
        each: [] for each in _by_id(entries, "image", path)
    }
    _by_id([box for box in boxes if "id" in box], "annotation", path)
    for box in boxes:
        if _id(box.get("image_id")) not in of_image:
            raise DataError(
                f"'{path}': a box is of image {box.get('image_id')!r}, which is not listed"
            )
        if _id(box.get("category_id")) not in names:
            raise DataError(
                f"'{path}': a box is of category {box.get('category_id')!r}, which is not "
                f"declared; there is: {', '.join(map(str, names))}"
            )
        of_image[box["image_id"]].append(box)
    named = {number: class_name(each.get("name"), f"'{path}'") for number, each in names.items()}
    classes = tuple(named[number] for number in sorted(names, key=lambda each: natural(str(each))))
    if len(set(classes)) < len(classes):
        raise DataError(f"'{path}': two categories have one name; give each its own")
    places = _folders(path, path.parent) if folders is None else folders
    return [
        _annotated(each, of_image[each["id"]], named, places, path) for each in entries
    ], classes


def _entries(given: Any, key: str) -> list[Mapping[str, Any]]:
    """A list of objects of JSON. Raises TypeError."""
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise TypeError(f"{key} is no list of objects")
    return given


def _id(given: Any) -> Any:
    """An id as a key; what can be none is none."""
    return given if isinstance(given, str | int) else None


def _by_id(entries: Any, what: str, path: Path) -> dict[Any, Mapping[str, Any]]:
    found: dict[Any, Mapping[str, Any]] = {}
    for each in entries:
        if _id(each.get("id")) is None:
            article = "a" if what == "category" else "an"
            raise DataError(f"'{path}': {article} {what} has no id; give it a number")
        if each["id"] in found:
            raise DataError(
                f"'{path}': two entries have the {what} id {each['id']!r}; ids are unique"
            )
        found[each["id"]] = each
    return found


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


def _annotated(
    entry: Mapping[str, Any],
    boxes: list[Mapping[str, Any]],
    names: Mapping[Any, str],
    places: Sequence[Path],
    path: Path,
) -> Annotated:
    name = str(entry.get("file_name", entry["id"]))
    file = named_file(name, places, path)
    where = f"'{path}', image '{name}'"
    given = four_numbers([box.get("bbox") for box in boxes], where)
    size = size_of(file, name)
    return Annotated(
        file,
        name,
        size,
        corners(given, XYWH, size),
        tuple(names[box["category_id"]] for box in boxes),
        flags([box.get("iscrowd") for box in boxes], where),
        areas([box.get("area") for box in boxes], where),
    )
