"""A folder of class folders: `cats/*.jpg`, `dogs/*.jpg`, maybe under `train/` and `test/`."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stillhouse.data.sources.hugging_face import OTHER_NAMES
from stillhouse.data.sources.labelled_splits import SPLITS, SourceSplits, natural, number_labels
from stillhouse.data.sources.pictures import picture_tables
from stillhouse.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm")


class FileImages:
    """The image files of one split."""

    def __init__(self, paths: Sequence[Path], root: Path) -> None:
        self.paths, self.root = paths, root

    def __len__(self) -> int:
        return len(self.paths)

    def where(self, row: int) -> str:
        """Name the file."""
        return str(self.paths[row])

    def read(self, row: int) -> bytes:
        """Return the bytes of one file."""
        try:
            return self.paths[row].read_bytes()
        except OSError as error:
            raise DataError(f"{self.where(row)} cannot be read ({error})") from error

    def fingerprint(self) -> str:
        """Sha256 of names (below the folder) and sizes; not of the bytes, which may be many."""
        digest = hashlib.sha256()
        for path in self.paths:
            name = path.relative_to(self.root).as_posix()
            digest.update(f"{name} {path.stat().st_size}\n".encode())
        return digest.hexdigest()


def read_folder(folder: Path) -> SourceSplits:
    """Read images whose label is the name of their folder; classes are in natural order.

    Differs from torchvision's ImageFolder: classes `2` and `10` come in this order. Images may be
    in deeper folders; hidden files and folders are left out, and so are other kinds of file.

    Raises:
        DataError: no class folders, a class folder without images, folders besides `train` that
            are no split, a class that only another split has, damaged images.
    """
    splits = _splits(folder)
    images, raw = {}, {}
    for split, root in splits.items():
        paths: list[Path] = []
        names: list[str] = []
        for place in _folders(root):
            inside = _images(place)
            paths += inside
            names += [place.name] * len(inside)
        images[split] = FileImages(paths, folder)
        raw[split] = np.array(names, dtype=object)
    labels, classes = number_labels(raw, lambda split, row: images[split].where(row))
    return SourceSplits(folder.resolve().name, picture_tables(images, labels), classes)


def _splits(folder: Path) -> dict[str, Path]:
    """Find the folder of each split; the folder itself is train where it holds the classes."""
    inside = _folders(folder)
    if not inside:
        raise DataError(
            f"{folder} holds neither parquet files nor class folders; wanted is "
            f"{folder.name}/<class>/<image> with images {', '.join(SUFFIXES)}"
        )
    named: dict[str, Path] = {}
    odd = []
    for place in inside:
        split = OTHER_NAMES.get(place.name.lower(), place.name.lower())
        if split not in SPLITS:
            odd.append(place.name)
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
    return {split: named[split] for split in SPLITS if split in named}


def _folders(place: Path) -> list[Path]:
    inside = [path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(inside, key=lambda path: natural(path.name))


def _images(place: Path) -> list[Path]:
    found = [
        path
        for path in place.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    if not found:
        raise DataError(
            f"the class folder {place} has no image ({', '.join(SUFFIXES)}); add some or remove it"
        )
    return sorted(found, key=lambda path: natural(path.relative_to(place).as_posix()))
