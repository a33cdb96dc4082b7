"""Annotations in COCO's form: one JSON file beside the images, boxes as x, y, width, height."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stillhouse.data.detection.annotations import Annotated
from stillhouse.errors import DataError

FOLDERS = (".", "images")
"""Where images lie, seen from the folder of the JSON file (or beside it, under its own name)."""


def read_coco(path: Path, images: Path | None = None) -> tuple[list[Annotated], tuple[str, ...]]:
    """The images of a file of annotations, and the names of its classes by rising id.

    Args:
        path: the JSON file.
        images: their folder; None: that of the file, or ``images`` in it.

    Raises:
        DataError: it is no such file, an id is there twice or is not there, an image is missing.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = [found[key] for key in ("images", "annotations", "categories")]
    except (OSError, ValueError, KeyError, TypeError) as error:
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
        if box.get("image_id") not in of_image:
            raise DataError(
                f"'{path}': a box is of image {box.get('image_id')!r}, which is not listed"
            )
        if box.get("category_id") not in names:
            raise DataError(
                f"'{path}': a box is of category {box.get('category_id')!r}, which is not "
                f"declared; there is: {', '.join(map(str, names))}"
            )
        of_image[box["image_id"]].append(box)
    classes = tuple(str(names[number]["name"]) for number in sorted(names))
    if len(set(classes)) < len(classes):
        raise DataError(f"'{path}': two categories have one name; give each its own")
    folder = images or path.parent
    return [
        _annotated(each, of_image[each["id"]], names, folder, path) for each in entries
    ], classes


def _by_id(entries: Any, what: str, path: Path) -> dict[Any, Mapping[str, Any]]:
    found: dict[Any, Mapping[str, Any]] = {}
    for each in entries:
        if not isinstance(each, Mapping) or "id" not in each:
            raise DataError(f"'{path}': a {what} has no id")
        if each["id"] in found:
            raise DataError(
                f"'{path}': two entries have the {what} id {each['id']!r}; ids are unique"
            )
        found[each["id"]] = each
    return found


def image_file(name: str, folder: Path, path: Path) -> Path:
    """The file of an image. Raises DataError where it is in none of `FOLDERS`."""
    places = [folder / part / name for part in (*FOLDERS, path.stem)]
    for place in places:
        if place.is_file():
            return place
    raise DataError(f"'{path}' names the image '{name}', and there is no file {places[0]}")


def size_of(image: Path) -> tuple[int, int]:
    """Width and height as it is shown, turned as its EXIF data say. Raises DataError."""
    try:
        with Image.open(image) as opened:
            turned = opened.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return opened.size[::-1] if turned else opened.size
    except OSError as error:
        raise DataError(f"'{image}' cannot be opened as an image: {error}") from error


def _annotated(
    entry: Mapping[str, Any],
    boxes: list[Mapping[str, Any]],
    names: Mapping[Any, Mapping[str, Any]],
    folder: Path,
    path: Path,
) -> Annotated:
    name = str(entry.get("file_name", entry["id"]))
    file = image_file(name, folder, path)
    given = [box.get("bbox") for box in boxes]
    if any(not isinstance(box, list) or len(box) != 4 for box in given):
        raise DataError(f"'{path}': a box of image '{name}' is not [x, y, width, height]")
    corners = np.array(given, dtype=float).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return Annotated(
        file,
        name,
        size_of(file),
        corners,
        tuple(str(names[box["category_id"]]["name"]) for box in boxes),
        np.array([bool(box.get("iscrowd", 0)) for box in boxes], dtype=bool),
        np.array([float(box.get("area") or np.nan) for box in boxes], dtype=float),
    )
