"""A directory of synthetic images: float tensors in whole, checksummed files, and a manifest.

    asked.json                                        what makes it: there from the start
    rows-00000000-1000-1f0c....safetensors            image [n, C, H, W], label [n], and more
    test-00000000-512-77aa....safetensors               real images to test on, if some were given
    synthesis.json                                    the manifest: written last

A file is named by its first row, its number of rows and the sha256 of its content, 16 digits.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.sources.labelled_splits import SourceSplits
from stillhouse.data.tables import FloatTable
from stillhouse.errors import DataError
from stillhouse.records.checked import read_checked
from stillhouse.records.sealed import Place, SealedFiles

ASKED = "asked.json"
MANIFEST = "synthesis.json"
FORMAT = 1
IMAGE, LABEL = "image", "label"
LOGITS, TARGET, ASKED_FOR, BETA, STEPS = "logits", "target", "asked", "beta", "steps"
SECONDS = "seconds"
ROWS, TEST = "rows", "test"
REMEDIES = {
    ASKED: "delete {directory}: the same synthesis makes it again",
    MANIFEST: "delete it, and run the same synthesis again: it makes only what is missing",
}
AGAIN = "delete this file and run the synthesis again, which makes only what is missing"

Run = Place
"""(first row, number of rows) of a file."""


def sealed(folder: Path, kind: str) -> SealedFiles:
    """The files of a kind, ``rows`` or ``test``; their places are runs of rows."""
    return SealedFiles(folder, f"{kind}-{{:08d}}-{{}}", error=DataError, again=AGAIN)


def present(folder: Path, kind: str) -> dict[Run, Path]:
    """The files of a kind that are there, in the order of their rows."""
    return sealed(folder, kind).present()


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, after comparing its content with the checksum in its name.

    Raises:
        DataError: it cannot be read or was changed.
    """
    kind, _, _ = path.name.partition("-")
    return sealed(path.parent, kind).read(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of the two descriptions. Raises DataError when it is damaged."""
    again = REMEDIES.get(path.name, f"delete {path.parent}").format(directory=path.parent)
    value = read_checked(path, DataError, again)
    if value.get("format") != FORMAT:
        raise DataError(
            f"{path} is of format {value.get('format')} and this version reads {FORMAT}; {again}"
        )
    return value


def is_synthesis(folder: Path) -> bool:
    """Whether a synthesis was begun there."""
    return (folder / ASKED).is_file() or (folder / MANIFEST).is_file()


def read_synthesis(folder: Path) -> SourceSplits:
    """Read a finished synthesis: `train`, and `test` where real images were stored with it.

    The label of a synthetic image is the class that the teacher gives it, not the class that was
    asked for. Nothing is rounded or normalised.

    Raises:
        DataError: it is not finished, or a file is missing, damaged or of another shape.
    """
    if not (folder / MANIFEST).is_file():
        raise DataError(
            f"the synthesis in {folder} is not finished (no {MANIFEST}); run the same synthesis "
            "again to finish it"
        )
    manifest = read_json(folder / MANIFEST)
    try:
        classes = tuple(str(name) for name in manifest["classes"])
        files = {kind: dict(manifest["files"][kind]) for kind in (ROWS, TEST)}
        shape = [int(side) for side in manifest["image_shape"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / MANIFEST} is damaged ({error}); delete the directory") from None
    parts = {"train": _table(sealed(folder, ROWS), files[ROWS], shape, len(classes))}
    if files[TEST]:
        parts["test"] = _table(sealed(folder, TEST), files[TEST], shape, len(classes))
    return SourceSplits(folder.resolve().name, parts, classes)


def _table(
    store: SealedFiles, files: Mapping[str, int], shape: list[int], classes: int
) -> FloatTable:
    """The rows of all files of one kind, in order."""
    folder = store.folder
    channels, height, width = shape
    images = torch.empty(sum(files.values()), height, width, channels)
    labels = []
    at = 0
    for name, count in files.items():
        if store.place(name) is None:  # a manifest is input, too: it names files of its own folder
            raise DataError(f"{folder / MANIFEST} names '{name}', which is no file of a synthesis")
        held = store.read(folder / name)
        image, label = held.get(IMAGE), held.get(LABEL)
        if image is None or label is None or list(image.shape) != [count, *shape]:
            what = "no images" if image is None else f"images {list(image.shape)}"
            raise DataError(f"{folder / name} holds {what}; wanted is {[count, *shape]}")
        if label.shape != (count,) or int(label.min()) < 0 or int(label.max()) >= classes:
            raise DataError(f"{folder / name} has labels outside 0..{classes - 1}")
        images[at : at + count] = image.permute(0, 2, 3, 1)
        labels.append(label.long())
        at += count
    return FloatTable(images, torch.cat(labels))
