"""Annotations in YOLO's form: a text file for each image, a line ``class cx cy w h`` for each box.

Numbers of boxes are shares of the image's width and height; classes are numbers from 0, whose names
``data.yaml`` (or ``classes.txt``) gives. Labels lie in ``labels/`` where images lie in ``images/``.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.data.detection.annotations import Annotated, Found
from stillhouse.data.detection.box_forms import CXCYWH, SHARES, corners
from stillhouse.data.detection.image_files import by_stem, images_in, size_of
from stillhouse.data.detection.said_of_boxes import class_name
from stillhouse.data.sources.labelled_splits import natural, split_named
from stillhouse.errors import DataError, RecipeError
from stillhouse.records.plain_yaml import read_yaml_file

YAML, NAMES = ("data.yaml", "data.yml"), "classes.txt"
IMAGES, LABELS = "images", "labels"
KEYS = ("train", "val", "valid", "validation", "test")
"""What data.yaml calls the splits."""


def is_yolo(path: Path) -> bool:
    """Whether a path looks like YOLO's form."""
    if path.is_file():
        return path.suffix in (".yaml", ".yml")
    folders = [path, *(each for each in path.iterdir() if each.is_dir() and split_named(each.name))]
    pairs = ((each / IMAGES).is_dir() and (each / LABELS).is_dir() for each in folders)
    return any((path / name).is_file() for name in YAML) or any(pairs)


def read_yolo(path: Path) -> Found:
    """A folder with ``images``, ``labels`` and data.yaml, or that file.

    Splits are what data.yaml says, else folders of their names, below ``images`` or above it.

    Raises:
        DataError: no names of classes, a folder or an image that is missing, a line that is no
            box, a class without a name.
    """
    root = path.parent if path.is_file() else path
    file = path if path.is_file() else next(
        (root / name for name in YAML if (root / name).is_file()), None)  # fmt: skip
    said = _yaml(file) if file else {}
    classes = _classes(said, root)
    notes: list[str] = []
    splits = _told(said, root, file, notes) if file else {}
    splits = splits or _by_layout(root)
    if not splits:
        raise DataError(f"'{path}': there is no folder '{IMAGES}' with images")
    parts = {split: _split(folders, classes, root) for split, folders in splits.items()}
    bare = sum(not _label_of(row.image, root).is_file() for rows in parts.values() for row in rows
               if isinstance(row.image, Path))  # fmt: skip
    if bare:
        what = "images have" if bare > 1 else "image has"
        notes.append(f"{bare:,} {what} no file of labels, which says in YOLO's form: no objects")
    return Found(parts, classes, tuple(notes))


def _yaml(file: Path) -> Mapping[str, Any]:
    try:
        said = read_yaml_file(file)
    except RecipeError as error:
        raise DataError(str(error)) from None
    if not isinstance(said, Mapping):
        raise DataError(f"'{file}' is no description of YOLO data (names, train, val)")
    return said


def _classes(said: Mapping[str, Any], root: Path) -> tuple[str, ...]:
    """The names of the classes, by number."""
    names = said.get("names")
    if names is None:
        lists = [root / NAMES, root / LABELS / NAMES]
        listed = next((each for each in lists if each.is_file()), None)
        if listed is None:
            raise DataError(
                f"'{root}': the names of the classes are nowhere; give them in data.yaml "
                f"(names: [cat, dog]) or in {NAMES}, one on each line"
            )
        names = [line.strip() for line in _lines(listed) if line.strip()]
    if isinstance(names, Mapping):
        numbers = sorted(map(str, names), key=natural)
        if numbers != [str(at) for at in range(len(names))]:
            raise DataError(
                f"'{root}': names gives the classes {', '.join(numbers)}; numbers are 0 to "
                f"{len(names) - 1}, with no gap"
            )
        names = [names[key] for key in sorted(names, key=lambda key: int(str(key)))]
    if not isinstance(names, list) or not names:
        raise DataError(f"'{root}': names is {names!r}; give a list of the names of the classes")
    classes = tuple(class_name(each, f"'{root}'") for each in names)
    if len(set(classes)) < len(classes):
        raise DataError(f"'{root}': two classes have one name; give each its own")
    count = said.get("nc")
    if count is not None and str(count) != str(len(classes)):
        raise DataError(f"'{root}': nc says {count} classes, and names has {len(classes)}")
    return classes


def _told(
    said: Mapping[str, Any], root: Path, file: Path, notes: list[str]
) -> dict[str, list[Path]]:
    """The folders (or lists of images) of each split that data.yaml names."""
    splits: dict[str, list[Path]] = {}
    base = root / str(said.get("path") or "")
    for key in KEYS:
        given = said.get(key)
        split = split_named(key)
        if given is None or given == "" or split is None:
            continue
        for each in given if isinstance(given, list) else [given]:
            found = _place(str(each), base, root)
            if found is not None:
                splits.setdefault(split, []).append(found)
            elif split == "test":
                notes.append(f"{file.name} names '{each}' for test, which is not there: left out")
            else:
                raise DataError(f"'{file}' names '{each}' for {key}, and there is no such folder")
    return splits


def _place(given: str, base: Path, root: Path) -> Path | None:
    """Seen from ``path``, or from the file; ``../train/images`` is often written for the latter."""
    tries = (base / given, root / given, root / given.removeprefix("../"))
    return next((each.resolve() for each in tries if os.path.exists(each)), None)


def _by_layout(root: Path) -> dict[str, list[Path]]:
    """Folders of splits: images/train, or train/images, or train; else images is all there is."""
    splits: dict[str, list[Path]] = {}
    for place in (root / IMAGES, root):
        folders = (
            sorted(each for each in place.iterdir() if each.is_dir()) if place.is_dir() else []
        )
        for each in folders:
            split = split_named(each.name)
            if split:
                inner = each / IMAGES
                splits.setdefault(split, []).append(inner if inner.is_dir() else each)
        if splits:
            return splits
    return {"train": [root / IMAGES]} if (root / IMAGES).is_dir() else {}


def _split(folders: list[Path], classes: tuple[str, ...], root: Path) -> list[Annotated]:
    images: list[Path] = []
    for folder in folders:
        images += _listed(folder) if folder.is_file() else _below(folder)
    for place in dict.fromkeys(image.parent for image in images):
        here = by_stem(image for image in images if image.parent == place)
        labels = _label_of(place / "x.txt", root).parent
        for label in sorted(labels.glob("*.txt")) if labels.is_dir() and labels != place else []:
            if label.name != NAMES and label.stem not in here and all(map(Path.is_dir, folders)):
                raise DataError(
                    f"'{label}' has the labels of an image that is missing: {place / label.stem}.*"
                )
    return [_annotated(image, classes, root) for image in images]


def _below(folder: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """All images; a link to a folder above it is not gone round."""
    here = folder.resolve()
    found = images_in(folder)
    for each in sorted(each for each in folder.iterdir() if each.is_dir()):
        if each.resolve() not in (*above, here) and not here.is_relative_to(each.resolve()):
            found += _below(each, (*above, here))
    return found


def _listed(file: Path) -> list[Path]:
    """The images that a text file names, seen from its folder."""
    found = [file.parent / line.strip() for line in _lines(file) if line.strip()]
    missing = next((each for each in found if not each.is_file()), None)
    if missing is not None:
        raise DataError(f"'{file}' names the image '{missing}', and there is no such file")
    return found


def _label_of(image: Path, root: Path) -> Path:
    """Where the labels of an image are: in labels/ for images/, else beside it."""
    within = image.is_relative_to(root.resolve())
    parts = list(image.relative_to(root.resolve()).parts if within else image.parts)
    folders = parts[:-1]
    if IMAGES in folders:
        at = len(folders) - 1 - folders[::-1].index(IMAGES)
        parts[at] = LABELS
    path = (root.resolve() if within else Path()).joinpath(*parts)
    return path.with_suffix(".txt")


def _annotated(image: Path, classes: tuple[str, ...], root: Path) -> Annotated:
    label, size = _label_of(image, root), size_of(image, image.name)
    boxes, names = [], []
    for number, line in enumerate(_lines(label) if label.is_file() else [], 1):
        if line.strip():
            name, values = _box(line.split(), classes, f"'{label}', line {number}")
            names.append(name)
            boxes.append(values)
    given = np.array(boxes, dtype=float).reshape(-1, 4)
    return Annotated(
        image,
        image.name,
        size,
        corners(given, CXCYWH + SHARES, size),
        tuple(names),
        np.zeros(len(names), dtype=bool),
        np.full(len(names), np.nan),
    )


def _box(words: list[str], classes: tuple[str, ...], where: str) -> tuple[str, list[float]]:
    if len(words) != 5:
        more = "; it may be a polygon or have a score" if len(words) > 5 else ""
        raise DataError(
            f"{where} has {len(words)} numbers, and a box is five: class cx cy w h{more}"
        )
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise DataError(f"{where} is no box: '{' '.join(words)}'") from None
    if values[0] != int(values[0] if np.isfinite(values[0]) else -1) or not (
        0 <= values[0] < len(classes)
    ):
        raise DataError(
            f"{where} has the class {words[0]}, which has no name; there are {len(classes)}, from "
            f"0: {', '.join(classes[:8])}"
        )
    return classes[int(values[0])], values[1:]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{file}' cannot be read as text: {error}") from error
