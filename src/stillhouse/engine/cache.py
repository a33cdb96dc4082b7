"""A recorded role: run once per (sample, view), served ever after under the same signal names."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.files import write_json
from stillhouse.engine.flags import Flags
from stillhouse.engine.nodes import Node, Role
from stillhouse.engine.signals import Signals
from stillhouse.errors import CacheError, nearest

MANIFEST = "recording.json"


@dataclass(frozen=True)
class Recording:
    """Signals of a role for every sample and view, as memory-mapped arrays [views, samples, ...].

    Args:
        directory: one ``.npy`` per part, and recording.json.
        identity: what made it (weights, data, views, transform); another one is refused.
    """

    directory: Path
    identity: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray[Any, Any]]

    def read(self, part: str, index: Tensor, view: Tensor) -> Tensor:
        """The signal of these samples under these views."""
        array = self.arrays[part]
        rows = array[view.cpu().numpy(), index.cpu().numpy()]
        return torch.from_numpy(rows).to(index.device)


class Replay(Node):
    """A recorded role. Reads ``batch.index`` and ``batch.view``; gives the role's signals.

    Raises:
        CacheError: a view was asked for that was not recorded.
    """

    def __init__(self, name: str, recording: Recording) -> None:
        super().__init__(name, ["batch.index", "batch.view"])
        self.recording = recording
        self._parts: tuple[str, ...] = tuple(recording.arrays)

    def problem(self, part: str) -> str | None:
        """Only recorded parts can be served."""
        if part in self.recording.arrays:
            return None
        return f"'{part}' of '{self.name}' was not recorded; {nearest(part, self.recording.arrays)}"

    def open(self, parts: Sequence[str]) -> None:  # type: ignore[override]
        """Serve only what is read."""
        self._parts = tuple(parts)

    def run(self, signals: Mapping[str, Tensor]) -> Signals:
        """Look the batch up."""
        index, view = signals["batch.index"], signals["batch.view"]
        views = next(iter(self.recording.arrays.values())).shape[0]
        if bool((view >= views).any()) or bool((view < 0).any()):
            raise CacheError(
                f"'{self.name}' was recorded for views 0..{views - 1}, but view "
                f"{int(view.max())} was shown; record more views or set data.views: {views}"
            )
        return {
            f"{self.name}.{part}": self.recording.read(part, index, view) for part in self._parts
        }


def record(
    role: Role, parts: Sequence[str], train: Batches, directory: Path, identity: Mapping[str, Any]
) -> Recording:
    """Run a role once over all samples and views; a finished recording is opened instead.

    The role runs in eval mode on batches of the training size (the last one is filled up), so that
    a recorded signal has the bits of a live one.

    Args:
        role: frozen; left as it was.
        parts: which of its signals.
        train: gives samples, views and batch size; its ``views`` must be a number.
        directory: where to keep it.
        identity: plain data that says what made it.

    Raises:
        CacheError: views are unbounded, or the directory holds another recording.
    """
    if train.views is None:
        raise CacheError("unbounded views cannot be recorded; set data.views to a number")
    identity = {**identity, "parts": list(parts), "views": train.views}
    if (directory / MANIFEST).exists():
        return open_recording(directory, identity)
    writers: dict[str, np.ndarray[Any, Any]] = {}
    flags = Flags([role.module])
    directory.mkdir(parents=True, exist_ok=True)
    role.module.eval()
    role.open(parts)
    try:
        for view, rows, kept in _passes(train):
            _write(role, parts, view, rows, kept, train, directory, writers)
    finally:
        role.close()
        flags.restore()
    for part, array in writers.items():
        array.flush()  # type: ignore[attr-defined]
        _part_file(directory, part).with_suffix(".part").replace(_part_file(directory, part))
    write_json(directory / MANIFEST, identity)
    return open_recording(directory, identity)


def _passes(train: Batches) -> Iterator[tuple[int, dict[str, Tensor], int]]:
    count, size = len(train.table), train.batch_size
    for view in range(train.views or 0):
        for start in range(0, count, size):
            rows = torch.arange(start, start + size).clamp_max(count - 1)
            yield view, train.show(rows, view), min(size, count - start)


def _write(
    role: Role,
    parts: Sequence[str],
    view: int,
    batch: dict[str, Tensor],
    kept: int,
    train: Batches,
    directory: Path,
    writers: dict[str, np.ndarray[Any, Any]],
) -> None:
    with torch.no_grad():
        given = role.run(batch)
    index = batch["batch.index"][:kept].cpu().numpy()
    for part in parts:
        value = given[f"{role.name}.{part}"][:kept].float().cpu().numpy()
        if part not in writers:
            shape = (train.views or 0, len(train.table), *value.shape[1:])
            writers[part] = np.lib.format.open_memmap(
                _part_file(directory, part).with_suffix(".part"),
                mode="w+",
                dtype=np.float32,
                shape=shape,
            )
        writers[part][view, index] = value


def _part_file(directory: Path, part: str) -> Path:
    return directory / (part.replace(":", "-") + ".npy")


def open_recording(directory: Path, identity: Mapping[str, Any]) -> Recording:
    """Open a finished recording.

    Raises:
        CacheError: it was made from something else; says which field differs.
    """
    try:
        found = json.loads((directory / MANIFEST).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CacheError(f"{directory} holds no finished recording ({error})") from None
    wanted = json.loads(json.dumps(dict(identity)))
    for field in dict.fromkeys([*wanted, *found]):
        if wanted.get(field) != found.get(field):
            raise CacheError(
                f"{directory} was recorded with {field} {found.get(field)!r}, this run has "
                f"{wanted.get(field)!r}; use another directory or delete it"
            )
    arrays = {part: np.load(_part_file(directory, part), mmap_mode="r") for part in found["parts"]}
    return Recording(directory, found, arrays)
