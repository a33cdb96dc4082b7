"""Store: the directory that a synthesis fills, file by file, and the manifest that ends it."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch import Tensor

from stillhouse.data.sources.synthesis import (
    ASKED,
    FORMAT,
    MANIFEST,
    ROWS,
    TEST,
    Run,
    present,
    read_json,
    sealed,
)
from stillhouse.errors import RunError
from stillhouse.records.checked import write_checked
from stillhouse.records.claim import Claim
from stillhouse.records.files import finite
from stillhouse.records.fingerprint import text_hash

CLAIM = Claim("synthesis", ASKED, "choose another directory for the synthesis (-o DIR)")


def claimed(folder: Path, asked: Mapping[str, Any]) -> AbstractContextManager[bool]:
    """Take a directory for a synthesis: new, empty, or begun by the same one.

    Raises:
        RunError: a file, somebody else's folder, another synthesis (says what differs), one that is
            going on, or a place that cannot be written to.
    """
    return CLAIM.hold(folder, {"format": FORMAT, **asked})


def finished(folder: Path, asked: Mapping[str, Any], count: int) -> dict[str, Any] | None:
    """The manifest of a synthesis that has what is asked for, every file compared; else None.

    Writes nothing: a finished synthesis is read from where nothing can be written.

    Raises:
        RunError: it is another synthesis, or somebody else's folder.
        DataError: the manifest or a file that it names is damaged.
    """
    if not CLAIM.begun(folder, {"format": FORMAT, **asked}) or not (folder / MANIFEST).is_file():
        return None
    manifest = read_json(folder / MANIFEST)
    there = {kind: listed(folder, kind) for kind in (ROWS, TEST)}
    if manifest.get("count") != count or manifest.get("files") != there:
        return None
    for kind in there:
        for path in present(folder, kind).values():
            sealed(folder, kind).check(path)
    return manifest


def missing(folder: Path, kind: str, count: int, at_once: int) -> list[Run]:
    """The runs of rows that are not there yet, each at most so long.

    Raises:
        RunError: there is more than was asked for.
    """
    runs, at = [], 0
    there = sorted(present(folder, kind))
    most = max((first + rows for first, rows in there), default=0)
    if most > count:
        raise RunError(
            f"{folder} holds {most} images and {count} are asked for; ask for as many, and let the "
            "recipe take fewer (data.limit)"
        )
    for first, rows in [*there, (count, 0)]:
        runs += [(row, min(at_once, first - row)) for row in range(at, first, at_once)]
        at = first + rows
    return runs


def write(folder: Path, kind: str, first: int, tensors: Mapping[str, Tensor]) -> None:
    """Write a run of rows whole."""
    sealed(folder, kind).write((first, len(next(iter(tensors.values())))), tensors)


def listed(folder: Path, kind: str) -> dict[str, int]:
    """Names of the files of a kind, with their rows."""
    return {path.name: run[1] for run, path in present(folder, kind).items()}


def finish(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest, with a fingerprint of what was asked and of every file."""
    value: dict[str, Any] = json.loads(json.dumps(finite({"format": FORMAT, **manifest})))
    told = json.dumps([read_json(folder / ASKED), value["files"]], sort_keys=True)
    value["fingerprint"] = text_hash(told)
    write_checked(folder / MANIFEST, value)
    return value
