"""Record a role: once over the samples and views that are not there yet, shard by shard."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from stillhouse.cache.codec import LOSSLESS, Storage
from stillhouse.cache.recording import (
    Recording,
    claim,
    claim_part,
    find_part,
    open_recording,
)
from stillhouse.cache.room import check_room
from stillhouse.cache.shards import Shards, Spot
from stillhouse.data.batches import Batches
from stillhouse.engine.composite import run_outside
from stillhouse.engine.fit import Observer, Silent
from stillhouse.engine.flags import Flags
from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Node, Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.errors import CacheError

ROWS_PER_SHARD = 4096
BYTES_PER_SHARD = 1 << 26
"""A shard is at most so large: what a kill loses, and what is held in memory while it is made."""


@dataclass(frozen=True)
class _Pass:
    """What one pass over the data records, and how."""

    role: Role
    before: Sequence[Node]
    train: Batches
    platform: Platform

    @property
    def size(self) -> int:
        """The batch of the training step of one process: the same arithmetic, the same bits."""
        return self.train.batch_size // self.train.world

    def signals(self, first: int, view: int) -> Signals:
        """The role's signals of a batch; the last batch is filled up with its last sample."""
        rows = torch.arange(first, first + self.size).clamp_max(len(self.train.table) - 1)
        dtype = self.platform.autocast_dtype
        with torch.autocast(self.platform.device.type, dtype, enabled=dtype is not None):
            return run_outside([*self.before, self.role], self.train.show(rows, view))

    def shard(self, parts: Mapping[str, Shards], spot: Spot) -> dict[str, dict[str, Tensor]]:
        """The encoded signals of one shard."""
        view, start = spot
        per_shard = next(iter(parts.values())).per_shard
        end = min(start + per_shard, len(self.train.table))
        found: dict[str, list[dict[str, Tensor]]] = {part: [] for part in parts}
        for first in range(start, end, self.size):
            given = self.signals(first, view)
            for part, shards in parts.items():
                value = given[f"{self.role.name}.{part}"][: end - first]
                found[part].append(_encoded(shards.storage, value, part, first, view))
        return {part: _joined(batches) for part, batches in found.items()}


def _encoded(
    storage: Storage, value: Tensor, part: str, first: int, view: int
) -> dict[str, Tensor]:
    try:
        return {key: tensor.cpu() for key, tensor in storage.encode(value).items()}
    except CacheError as error:
        last = first + len(value) - 1
        raise CacheError(f"'{part}' of samples {first}..{last}, view {view}: {error}") from None


def _joined(batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}


def record(
    role: Role,
    parts: Sequence[str],
    train: Batches,
    directory: Path,
    identity: Mapping[str, Any],
    platform: Platform,
    *,
    before: Sequence[Node] = (),
    storage: Mapping[str, Storage] | None = None,
    views: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    observer: Observer | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Recording:
    """Record the signals of a role that are not there yet, and open all of them, checked.

    The role runs in eval mode, without gradients, on batches of the training size (the last one is
    filled up), so that a recorded float32 signal has the bits of a live one. A stopped recording
    goes on at the shard where it stopped. Of two runs that want the same one, one records and the
    other waits. Several processes of one run share the shards.

    Args:
        role: frozen; left as it was.
        parts: which of its signals.
        train: gives samples, views and batch size.
        directory: where to keep it.
        identity: plain data that says what made it.
        platform: device, precision, processes.
        before: nodes that the role reads, such as its own form of the image.
        storage: of parts that are not float32.
        views: how many views; default: those of ``train``.
        shapes: of parts that are wanted by shape only.
        observer: hears of progress, in images.
        say: hears that another run is waited for.

    Raises:
        CacheError: views are unbounded, the directory holds another recording, the disk is short
            (before anything runs), a value does not fit its storage, or a shard is damaged.
    """
    views = train.views if views is None else views
    if views is None:
        raise CacheError("unbounded views cannot be recorded; set data.views to a number")
    storage = {part: (storage or {}).get(part, LOSSLESS) for part in parts}
    work = _Pass(role, before, train, platform)
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory, platform, say):
        if platform.main:
            claim(directory, identity)
        platform.wait()
        with _running(work, parts):
            held = _begun(work, parts, storage, directory)
            missing = _missing(held, views)
            platform.wait()  # all have seen the same shards before the first new one
            if platform.main:
                check_room(directory, _bytes(missing, held))
            _write_all(work, held, missing, observer or Silent())
        platform.wait()
    return open_recording(directory, identity, parts, views, storage=storage, shapes=shapes)


def passes_left(
    directory: Path, parts: Sequence[str], storage: Mapping[str, Storage], views: int
) -> float:
    """How many passes over the data are still to be recorded, 0 to ``views``; opens nothing."""
    lacking: set[Spot] = set()
    each = 1
    for part in parts:
        shards = find_part(directory, part, storage.get(part, LOSSLESS))
        if shards is None:
            return float(views)
        each = len(shards.spots(1))
        lacking |= set(shards.spots(views)) - set(shards.present())
    return len(lacking) / each


@contextlib.contextmanager
def _alone(directory: Path, platform: Platform, say: Callable[[str], None]) -> Iterator[None]:
    """One run records at a time; the others wait and then find its shards."""
    lock = FileLock(directory / ".lock")
    if platform.main:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another run records {directory}; waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _running(work: _Pass, parts: Sequence[str]) -> Iterator[None]:
    """The role placed, in eval mode and with its hooks; afterwards all is as it was."""
    modules = [node.module for node in (*work.before, work.role) if node.module is not None]
    flags, homes = Flags(modules), Homes(modules)
    homes.place(work.platform.device, channels_last=True)
    for module in modules:
        module.eval()
    try:
        work.role.open(parts)
        yield
    finally:
        work.role.close()
        flags.restore()
        homes.restore()


def _begun(
    work: _Pass, parts: Sequence[str], storage: Mapping[str, Storage], directory: Path
) -> dict[str, Shards]:
    """The shards of each part; a new part is shaped by one batch."""
    known = {part: find_part(directory, part, storage[part]) for part in parts}
    shapes = {part: shards.shape for part, shards in known.items() if shards is not None}
    if len(shapes) < len(parts):
        given = work.signals(0, 0)
        shapes = {part: tuple(given[f"{work.role.name}.{part}"].shape[1:]) for part in parts}
    problems = {part: storage[part].problem(shapes[part]) for part in parts}
    for part, problem in problems.items():
        if problem:
            raise CacheError(f"'{work.role.name}.{part}': {problem}")
    each = max(sum(storage[part].bytes_per_sample(shapes[part]) for part in parts), 1)
    batches = min(ROWS_PER_SHARD, BYTES_PER_SHARD // each) // work.size
    work.platform.wait()
    return {
        part: claim_part(
            directory,
            part,
            storage[part],
            tap=work.role.tap_of(part) or "output",
            shape=shapes[part],
            rows=len(work.train.table),
            per_shard=max(batches, 1) * work.size,
        )
        for part in parts
    }


def _missing(held: Mapping[str, Shards], views: int) -> dict[Spot, list[str]]:
    """Which parts each spot lacks."""
    missing: dict[Spot, list[str]] = {}
    for part, shards in held.items():
        there = shards.present()
        for spot in shards.spots(views):
            if spot not in there:
                missing.setdefault(spot, []).append(part)
    return dict(sorted(missing.items()))


def _bytes(missing: Mapping[Spot, Sequence[str]], held: Mapping[str, Shards]) -> int:
    """Bytes that the missing shards will take."""
    total = 0
    for (_, first), parts in missing.items():
        for part in parts:
            shards = held[part]
            rows = min(shards.per_shard, shards.rows - first)
            total += rows * shards.storage.bytes_per_sample(shards.shape)
    return total


def _write_all(
    work: _Pass,
    held: Mapping[str, Shards],
    missing: Mapping[Spot, Sequence[str]],
    observer: Observer,
) -> None:
    """Record this process's share of the missing shards."""
    mine = list(missing.items())[work.platform.rank :: work.platform.world]
    if not missing:
        return
    observer.begin(f"record {work.role.name}", len(mine), 0)
    for spot, parts in mine:
        began = time.perf_counter()
        shards = {part: held[part] for part in parts}
        encoded = work.shard(shards, spot)
        seconds = time.perf_counter() - began
        for part, tensors in encoded.items():
            # The pass is counted once, however many signals it gave.
            shards[part].write(spot, tensors, {"seconds": f"{seconds:.3f}"})
            seconds = 0.0
        observer.step(min(held[parts[0]].per_shard, len(work.train.table) - spot[1]))
