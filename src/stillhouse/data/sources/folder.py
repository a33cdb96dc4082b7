"""A folder of class folders: `cats/*.jpg`, `dogs/*.jpg`, maybe under `train/` and `test/`.

Or a folder of images of which nobody knows what they are: at any depth, maybe under the same.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from stillhouse.data.sources.files import (
    LeftOut,
    folders_in,
    image_files,
    is_utf8,
    open_regular,
    shown,
)
from stillhouse.data.sources.labelled_splits import (
    SPLITS,
    SourceSplits,
    number_labels,
    split_named,
    unlabelled,
)
from stillhouse.data.sources.pictures import picture_tables
from stillhouse.errors import DataError
from stillhouse.records.file_hashes import file_hashes

WANTED = "<class>/<image>, or train/<class>/<image> and test/, validation/"


class FileImages:
    """Image files below a folder, by name; as one array of bytes, which loader processes share."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root = root
        self.names = np.array([os.fsencode(name) for name in names], dtype=bytes)

    def __len__(self) -> int:
        return len(self.names)

    def path(self, row: int) -> str:
        """Where the file is; a name that is absolute stays so."""
        return os.path.join(self.root, os.fsdecode(self.names[row]))

    def where(self, row: int) -> str:
        """Name the file."""
        return shown(self.path(row))

    def name(self, row: int) -> str:
        """Its name below the folder, with slashes."""
        return shown(os.fsdecode(self.names[row])).replace(os.sep, "/")

    def open(self, row: int) -> BinaryIO:
        """Open one file, of which a header may be enough."""
        try:
            return open_regular(self.path(row))
        except OSError as error:
            said = error.strerror or error
            raise DataError(f"{self.where(row)} cannot be read ({said})") from error

    def fingerprint(self) -> str:
        """Sha256 of names (below the folder) and bytes; see `stillhouse.records.file_hashes`."""
        digest = hashlib.sha256()
        marks = file_hashes(map(self.path, range(len(self))))
        try:
            for name, mark in zip(self.names, marks, strict=True):
                digest.update(name + f" {mark}\n".encode())
        except OSError as error:
            raise DataError(f"{shown(str(error))}: a file cannot be read any more") from error
        return digest.hexdigest()


def read_folder(folder: Path) -> SourceSplits:
    """Read images whose label is the name of their folder; classes are in natural order.

    Differs from torchvision's ImageFolder: classes `2` and `10` come in this order, and hidden
    files and folders are left out at every depth. Images may be in deeper folders: their class is
    the first folder. All that Pillow decodes is read, of several frames the first; whatever is left
    out is counted by suffix in the notes.

    Raises:
        DataError: no class folders, a class folder without images, folders besides `train` that
            are no split, a class that only another split has, damaged images.
    """
    left = LeftOut()
    images, raw, deeper = {}, {}, 0
    for split, root in _splits(folder, left).items():
        names: list[str] = []
        labels: list[str] = []
        for place in folders_in(root, left):
            inside = _images(place, left)
            below = place.relative_to(folder)
            names += [os.path.join(below, name) for name in inside]
            labels += [place.name] * len(inside)
            deeper += sum(os.sep in name for name in inside)
        images[split] = FileImages(folder, names)
        raw[split] = np.array(labels, dtype=object)
    numbered = number_labels(raw, lambda split, row: images[split].where(row))
    tables, notes = picture_tables(images, numbered.labels), _notes(folder, left, deeper)
    return SourceSplits(
        folder.resolve().name, tables, numbered.classes, notes, numbered.open_only, images
    )


def read_images(folder: Path) -> SourceSplits:
    """Read images at every depth, without labels: names of folders mean nothing, save splits.

    Folders `train`, `test` and `validation` in it are splits; without `train` all images are that.

    Raises:
        DataError: no images, folders besides `train` that are no split, damaged images.
    """
    left, images, inside = LeftOut(), {}, 0
    for split, root in _unlabelled_splits(folder).items():
        names = [os.path.join(root.relative_to(folder), name) for name in image_files(root, left)]
        if not names:
            others = f" (it has {left}, which are not read)" if left else ""
            raise DataError(
                f"{root} has no image{others}; wanted is a folder of images, at any depth. Read is "
                "what Pillow decodes: .png, .jpg, .webp, .tif, .gif, ..."
            )
        inside += sum(os.sep in os.path.relpath(name, root.relative_to(folder)) for name in names)
        images[split] = FileImages(folder, names)
    notes = [f"{folder}: left out are {left}"] if left else []
    if inside:
        notes.append(f"{folder}: {inside:,} images lie in folders, whose names are not read as "
                     "labels: this task has none")  # fmt: skip
    none = {split: torch.from_numpy(unlabelled(len(part))) for split, part in images.items()}
    tables = picture_tables(images, none)
    return SourceSplits(folder.resolve().name, tables, (), tuple(notes))


def _unlabelled_splits(folder: Path) -> dict[str, Path]:
    """The folder of each split; the folder itself is train where none inside is called so."""
    places = folders_in(folder, LeftOut())
    if not any(split_named(place.name) == "train" for place in places):
        return {"train": folder}
    loose = [entry for entry in image_files(folder, LeftOut()) if os.sep not in entry]
    if loose:
        raise DataError(
            f"{folder} has the folder train, so its folders are splits; {len(loose):,} images lie "
            f"beside it ({shown(loose[0])}, ...): move them into a split, or away"
        )
    return _splits(folder, LeftOut())


def _splits(folder: Path, left: LeftOut) -> dict[str, Path]:
    """Find the folder of each split; the folder itself is train where it holds the classes."""
    inside = folders_in(folder, LeftOut())  # counted when the classes are looked for
    if not inside:
        raise DataError(f"{folder} holds no class folders; wanted is {WANTED}.{_but(folder)}")
    named: dict[str, Path] = {}
    odd = []
    for place in inside:
        split = split_named(place.name)
        if split is None:
            odd.append(shown(place.name))
        elif split in named:
            raise DataError(
                f"{folder}: {named[split].name} and {place.name} are both {split}; keep one"
            )
        else:
            named[split] = place
    if "train" in named and odd:
        raise DataError(
            f"{folder} has the folder train, so its folders are splits; '{odd[0]}' is none of "
            f"{', '.join(SPLITS)}"
        )
    if "train" not in named and not odd:
        have = ", ".join(place.name for place in inside)
        raise DataError(f"{folder} has {have} but no train; training needs one")
    if "train" not in named:
        return {"train": folder}
    folders_in(folder, left)
    return {split: named[split] for split in SPLITS if split in named}


def _but(folder: Path) -> str:
    """What is there instead."""
    left = LeftOut()
    images = image_files(folder, left)
    found = [f"{len(images):,} images that are in no class folder"] if images else []
    found += [str(left)] if left else []
    return f" It has {', '.join(found)}" if found else " It is empty"


def _images(place: Path, left: LeftOut) -> list[str]:
    if not is_utf8(place.name):
        raise DataError(
            f"the name of the class folder {shown(str(place))} is no UTF-8; a class needs a name "
            "that can be written down: rename it"
        )
    mine = LeftOut()
    found = image_files(place, mine)
    if not found:
        others = f" (it has {mine}, which are not read)" if mine else ""
        raise DataError(
            f"the class folder {place} has no image{others}; add some, or remove the folder. Read "
            "is what Pillow decodes: .png, .jpg, .webp, .tif, .gif, ..."
        )
    left.counts.update(mine.counts)
    return found


def _notes(folder: Path, left: LeftOut, deeper: int) -> tuple[str, ...]:
    notes = [f"{folder}: left out are {left}"] if left else []
    if deeper:
        notes.append(f"{folder}: {deeper:,} images lie in folders inside class folders; their "
                     "class is the outer one")  # fmt: skip
    return tuple(notes)
