"""Annotations in Pascal VOC's form: an XML file for each image.

A folder with ``Annotations`` and ``JPEGImages``, whose splits are the lists train.txt, val.txt and
test.txt in ``ImageSets/Main``; or folders train, val and test, with XML files beside the images or
each with the two folders of its own.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from stillhouse.data.detection.annotations import Annotated, Found
from stillhouse.data.detection.box_forms import VOC, XYXY, corners
from stillhouse.data.detection.image_files import by_stem, images_in, size_of
from stillhouse.data.sources.labelled_splits import natural, split_named
from stillhouse.errors import DataError

XML, IMAGES = "Annotations", "JPEGImages"
LISTS = Path("ImageSets") / "Main"
BOTH = "trainval"
SIDES = ("xmin", "ymin", "xmax", "ymax")


def is_voc(path: Path) -> bool:
    """Whether a folder looks like Pascal VOC's form."""
    return path.is_dir() and ((path / XML).is_dir() or bool(_folders(path)))


def _folders(path: Path) -> dict[str, list[Path]]:
    """Split -> its folders with XML files."""
    found: dict[str, list[Path]] = {}
    for each in sorted(each for each in path.iterdir() if each.is_dir()):
        split = split_named(each.name)
        if split and ((each / XML).is_dir() or any(each.glob("*.xml"))):
            found.setdefault(split, []).append(each)
    return found


def read_voc(path: Path, form: str | None) -> Found:
    """A folder of Pascal VOC's form.

    Args:
        path: the folder.
        form: what the four numbers of a box are, 'voc' or 'xyxy'; None: as VOC counts, from 1,
            unless a number below 1 or a fraction shows that they do not.

    Raises:
        DataError: an XML file that cannot be read or declares entities, an image or a list that is
            missing, or a class that only other splits than train have.
    """
    notes: list[str] = []
    if (path / XML).is_dir():
        parts = _listed(path, notes)
    else:
        parts = {
            split: [one for folder in folders for one in _all_of(folder)]
            for split, folders in _folders(path).items()
        }
    read = {split: [_Told(*one) for one in files] for split, files in parts.items()}
    numbers = [one.values for told in read.values() for one in told]
    chosen = form or _counted(np.concatenate([*numbers, np.zeros((0, 4))]), notes)
    learnt = {name for one in read.get("train", []) for name in one.names}
    classes = tuple(sorted(learnt, key=natural))
    return Found(
        {split: [one.annotated(chosen) for one in told] for split, told in read.items()},
        classes,
        tuple(notes),
    )


def _counted(values: Any, notes: list[str]) -> str:
    """From what these boxes count, said in a note."""
    known = values[np.isfinite(values).all(1)]
    odd = (known[:, :2] < 1).any(1) | (known != np.round(known)).any(1)
    if odd.any():
        notes.append(
            f"boxes are read as counted from 0 (data.boxes: {XYXY}), for {int(odd.sum()):,} of "
            f"{len(known):,} have a number below 1 or a fraction, which VOC's own have not"
        )
        return XYXY
    notes.append(
        f"boxes are read as VOC counts them, from 1 with the last pixel within (data.boxes: {VOC});"
        f" where yours count from 0, say data.boxes: {XYXY}"
    )
    return VOC


def _listed(path: Path, notes: list[str]) -> dict[str, list[tuple[Path, Path]]]:
    """The files of each list; without lists, all are train."""
    images = by_stem(images_in(path / IMAGES)) if (path / IMAGES).is_dir() else {}
    lists = sorted((path / LISTS).glob("*.txt")) if (path / LISTS).is_dir() else []
    splits = {split: each for each in lists if (split := split_named(each.stem))}
    whole = next((each for each in lists if each.stem == BOTH), None)
    if whole is not None and "train" not in splits:
        splits["train"] = whole
        notes.append(f"{whole.name} is train, out of which validation is drawn")
    if not splits:
        files = sorted((path / XML).glob("*.xml"), key=lambda each: natural(each.stem))
        return {"train": [(each, _image(each, images, path / IMAGES)) for each in files]}
    found: dict[str, list[tuple[Path, Path]]] = {}
    for split in sorted(splits, key=("train", "validation", "test").index):
        found[split] = []
        for name in _names(splits[split]):
            file = path / XML / f"{name}.xml"
            if not os.path.isfile(file):
                raise DataError(f"'{splits[split]}' lists '{name}', and there is no file {file}")
            found[split].append((file, _image(file, images, path / IMAGES)))
    return found


def _names(file: Path) -> Iterator[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{file}' cannot be read as text: {error}") from error
    return (line.split()[0] for line in lines if line.strip())


def _all_of(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The XML files of a split's folder and their images; images without one are left out."""
    files, pictures = (
        (folder / XML, folder / IMAGES) if (folder / XML).is_dir() else (folder, folder)
    )
    images = by_stem(images_in(pictures)) if pictures.is_dir() else {}
    for each in sorted(files.glob("*.xml"), key=lambda file: natural(file.stem)):
        yield each, _image(each, images, pictures)


def _image(file: Path, images: Mapping[str, Path], folder: Path) -> Path:
    if file.stem not in images:
        raise DataError(f"'{file}' is of the image '{file.stem}', and there is none in {folder}")
    return images[file.stem]


class _Told:
    """What an XML file says of an image."""

    def __init__(self, file: Path, image: Path) -> None:
        self.image = image
        objects = parsed(file).findall("object")
        self.names = tuple(_text(each, "name", file) for each in objects)
        self.values = np.array([_sides(each, file) for each in objects], dtype=float).reshape(-1, 4)
        self.difficult = np.array(
            [(each.findtext("difficult") or "0").strip() == "1" for each in objects], dtype=bool
        )

    def annotated(self, form: str) -> Annotated:
        """Its boxes, whose numbers are of this form."""
        size = size_of(self.image, self.image.name)
        return Annotated(
            self.image,
            self.image.name,
            size,
            corners(self.values, form, size),
            self.names,
            self.difficult,
            np.full(len(self.names), np.nan),
        )


def _sides(each: Element, file: Path) -> list[float]:
    box = each.find("bndbox")
    if box is None:
        raise DataError(f"'{file}': an object has no bndbox")
    found = [_text(box, side, file) for side in SIDES]
    try:
        return [float(value) for value in found]
    except ValueError:
        raise DataError(f"'{file}': a box is {', '.join(found)}; wanted are numbers") from None


def _text(each: Element, tag: str, file: Path) -> str:
    found = (each.findtext(tag) or "").strip()
    if not found:
        raise DataError(f"'{file}': a {each.tag} has no {tag}")
    return found


class _EntitiesError(Exception):
    """A document type stands in an XML file."""


def parsed(file: Path) -> Element:
    """The root of an XML file that is nothing but elements and text.

    A document type is refused before an entity of it is declared, so none is ever expanded, be it
    a billion laughs or a file of this machine.

    Raises:
        DataError: it cannot be read, is no XML, or has a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refused(*_: Any) -> None:
        raise _EntitiesError

    parser.StartDoctypeDeclHandler = refused
    try:
        parser.Parse(file.read_bytes(), True)
        return builder.close()
    except _EntitiesError:
        raise DataError(
            f"'{file}' has a document type (<!DOCTYPE ...>), which may declare entities and is no "
            "part of an annotation; take it out"
        ) from None
    except (OSError, ValueError, LookupError, expat.ExpatError) as error:
        raise DataError(f"'{file}' cannot be read as XML: {error}") from error
