"""A directory of synthetic images: float tensors in whole, checksummed files, and a manifest.

    asked.json                                        what makes it: there from the start
    rows-00000000-1000-1f0c....safetensors            image [n, C, H, W], label [n], and more
    test-00000000-512-77aa....safetensors               real images to test on, if some were given
    synthesis.json                                    the manifest: written last

A file is named by its first row, its number of rows and the sha256 of its content, 16 digits.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.sources.found import Found
from stillhouse.data.tables import FloatTable
from stillhouse.errors import DataError

ASKED = "asked.json"
MANIFEST = "synthesis.json"
FORMAT = 1
DIGITS = 16
IMAGE, LABEL = "image", "label"
LOGITS, TARGET, ASKED_FOR, BETA, STEPS = "logits", "target", "asked", "beta", "steps"
SECONDS = "seconds"
ROWS, TEST = "rows", "test"

_NAME = re.compile(r"(rows|test)-(\d{8})-(\d+)-([0-9a-f]{16})\.safetensors")


Run = tuple[int, int]
"""(first row, number of rows) of a file."""


def file_name(kind: str, run: Run, content: bytes) -> str:
    """Name a file by what it holds.

    >>> file_name("rows", (100, 50), b"")
    'rows-00000100-50-e3b0c44298fc1c14.safetensors'
    """
    digest = hashlib.sha256(content).hexdigest()[:DIGITS]
    return f"{kind}-{run[0]:08d}-{run[1]}-{digest}.safetensors"


def present(folder: Path, kind: str) -> dict[Run, Path]:
    """The files of a kind that are there, in the order of their rows."""
    found = {}
    for path in sorted(folder.glob(f"{kind}-*.safetensors")):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            found[int(match[2]), int(match[3])] = path
    return found


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, after comparing its content with the checksum in its name.

    Raises:
        DataError: it cannot be read or was changed.
    """
    from safetensors.torch import load

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    match = _NAME.fullmatch(path.name)
    if match is None or file_name(match[1], (int(match[2]), int(match[3])), content) != path.name:
        raise DataError(
            f"{path} is damaged: its content does not fit the checksum in its name; delete this "
            "file and run the synthesis again, which makes only what is missing"
        )
    return load(content)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of the two descriptions. Raises DataError when it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete the directory") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DataError(f"{path} is not of format {FORMAT}; make it again with this version")
    return value


def is_synthesis(folder: Path) -> bool:
    """Whether a synthesis was begun there."""
    return (folder / ASKED).is_file() or (folder / MANIFEST).is_file()


def read_synthesis(folder: Path) -> Found:
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
    parts = {"train": _table(folder, files[ROWS], shape, len(classes))}
    if files[TEST]:
        parts["test"] = _table(folder, files[TEST], shape, len(classes))
    return Found(folder.resolve().name, parts, classes)


def _table(folder: Path, files: Mapping[str, int], shape: list[int], classes: int) -> FloatTable:
    """The rows of all files of one kind, in order."""
    channels, height, width = shape
    images = torch.empty(sum(files.values()), height, width, channels)
    labels = []
    at = 0
    for name, count in files.items():
        if not _NAME.fullmatch(name):  # a manifest is input, too: it names files of its own folder
            raise DataError(f"{folder / MANIFEST} names '{name}', which is no file of a synthesis")
        held = read_file(folder / name)
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
