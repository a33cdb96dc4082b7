"""Store: the directory that a synthesis fills, file by file, and the manifest that ends it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors.torch import save
from torch import Tensor

from stillhouse.data.sources.synthesis import (
    ASKED,
    FORMAT,
    MANIFEST,
    Run,
    file_name,
    present,
    read_json,
)
from stillhouse.engine.files import finite, replacing, write_json
from stillhouse.errors import RunError

FINGERPRINT_DIGITS = 16


@contextmanager
def claimed(folder: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """Take a directory for a synthesis: new, empty, or begun by the same one.

    Raises:
        RunError: a file, somebody else's folder, another synthesis (says what differs), one that is
            going on, or a place that cannot be written to.
    """
    wanted = plain(asked)
    _refuse(folder, wanted)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"a synthesis is going on in {folder}; wait for it, or choose another directory"
        ) from None
    except OSError as error:
        raise RunError(f"{folder} cannot be written to ({error}); choose another place") from error
    try:
        for unfinished in folder.glob(".*.part"):
            unfinished.unlink(missing_ok=True)
        if not (folder / ASKED).exists():
            write_json(folder / ASKED, wanted)
        yield
    finally:
        lock.release()


def plain(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON makes of a description, with its format.

    >>> plain({"betas": (1.0, 0.1)})
    {'format': 1, 'betas': [1.0, 0.1]}
    """
    read: dict[str, Any] = json.loads(json.dumps(finite({"format": FORMAT, **asked})))
    return read


def _refuse(folder: Path, wanted: Mapping[str, Any]) -> None:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise RunError(f"{there} is a file; give a directory for the synthesis")
    if (folder / ASKED).exists():
        held = read_json(folder / ASKED)
        for key in dict.fromkeys([*wanted, *held]):
            if wanted.get(key) != held.get(key):
                raise RunError(
                    f"{folder} holds another synthesis: it differs in {key} (there: "
                    f"{held.get(key)}, asked: {wanted.get(key)}); choose another directory, or ask "
                    "for the same to go on with it"
                )
        return
    inside = [path.name for path in folder.glob("*") if not path.name.startswith(".")]
    if inside:
        raise RunError(
            f"{folder} holds other files ({inside[0]}); a synthesis wants a directory of its own"
        )


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
    content = save({key: value.cpu().contiguous() for key, value in tensors.items()})
    count = len(next(iter(tensors.values())))
    with replacing(folder / file_name(kind, (first, count), content)) as fresh:
        fresh.write_bytes(content)


def listed(folder: Path, kind: str) -> dict[str, int]:
    """Names of the files of a kind, with their rows."""
    return {path.name: run[1] for run, path in present(folder, kind).items()}


def finish(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest, with a fingerprint of what was asked and of every file."""
    value = plain(manifest)
    told = json.dumps([read_json(folder / ASKED), value["files"]], sort_keys=True)
    value["fingerprint"] = hashlib.sha256(told.encode()).hexdigest()[:FINGERPRINT_DIGITS]
    write_json(folder / MANIFEST, value)
    return value
