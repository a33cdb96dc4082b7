"""Record a role: once over the samples and views that are not there yet, shard by shard."""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from stillhouse.cache.leases import Leases
from stillhouse.cache.passes import Pass, running
from stillhouse.cache.shards import Shards, Spot
from stillhouse.cache.spot_check import spot_check
from stillhouse.cache.storage import LOSSLESS, Storage, check_room
from stillhouse.cache.teacher_cache import (
    CLAIM,
    TeacherCache,
    check_directory,
    claim_part,
    find_part,
    open_cache,
    writing_alone,
)
from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Node, Role
from stillhouse.engine.observer import NullObserver, Observer
from stillhouse.engine.platform import Platform
from stillhouse.errors import CacheError
from stillhouse.records.remote import Location, Remote
from stillhouse.records.writable import check_writable

ROWS_PER_SHARD = 4096
BYTES_PER_SHARD = 1 << 26
"""A shard is at most so large: what a kill loses, and what is held in memory while it is made."""
WAIT = 1.0
"""Seconds between two looks for shards that others record."""

Gap = tuple[int, Spot]
"""(samples per shard, spot) of what is not cached yet."""


def _encoded(
    storage: Storage, value: Tensor, part: str, first: int, view: int
) -> dict[str, Tensor]:
    try:
        return {key: tensor.cpu() for key, tensor in storage.encode(value).items()}
    except CacheError as error:
        last = first + len(value) - 1
        raise CacheError(f"'{part}' of samples {first}..{last}, view {view}: {error}") from None


def _shard(
    work: Pass,
    parts: Mapping[str, Shards],
    per_shard: int,
    spot: Spot,
    after_batch: Callable[[], None],
) -> dict[str, dict[str, Tensor]]:
    """The encoded signals of one shard."""
    view, start = spot
    end = min(start + per_shard, len(work.train.table))
    firsts = range(start, end, work.size)
    found: dict[str, list[dict[str, Tensor]]] = {part: [] for part in parts}
    batches = work.signals([work.rows(first) for first in firsts], view)
    for first, given in zip(firsts, batches, strict=True):
        for part, shards in parts.items():
            value = work.given(given, part)[: end - first]
            found[part].append(_encoded(shards.storage, value, part, first, view))
        after_batch()
    return {part: _joined(batches) for part, batches in found.items()}


def _joined(batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}


def record(
    role: Role,
    parts: Sequence[str],
    train: Batches,
    directory: Location,
    identity: Mapping[str, Any],
    platform: Platform,
    *,
    before: Sequence[Node] = (),
    storage: Mapping[str, Storage] | None = None,
    views: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    observer: Observer | None = None,
    say: Callable[[str], None] = lambda _: None,
    leases: Leases | None = None,
    share: tuple[int, int] | None = None,
) -> TeacherCache:
    """Record the signals of a role that are not there yet, and open all of them, checked.

    The role runs in eval mode, without gradients, on batches of the training size (the last one is
    filled up), so that a cached float32 signal has the bits of a live one. A stopped caching
    goes on at the shard where it stopped. Of two runs that want the same one, one records and the
    other waits. Workers (``leases`` of their own), and all who record to an object store, share the
    shards by leases, as do the processes of one run; each ends when all shards are there. At the
    end a batch is run again and compared with what is there.

    Args:
        role: frozen; left as it was.
        parts: which of its signals.
        train: gives samples, views and batch size.
        directory: where to keep it, here or on an object store.
        identity: plain data that says what made it.
        platform: device, precision, processes.
        before: nodes that the role reads, such as its own form of the image.
        storage: of parts that are not float32.
        views: how many views; default: those of ``train``.
        shapes: of parts that are wanted by shape only.
        observer: hears of progress, in images.
        say: hears that another run is waited for.
        leases: who records what; default: those of the directory, which a run has for itself. A
            worker that gives some holds the directory only while it begins.
        share: (k, n): it begins with the k-th of n shares of the shards, counted from 0, so that
            workers meet late; default: by process.

    Raises:
        CacheError: views are unbounded, the directory holds something else or cannot be written
            to, the role gives no such signal, the disk is short (before anything runs), a value
            does not fit its storage, a shard is damaged, or what is there is not what the role
            gives.
    """
    views = train.views if views is None else views
    if views is None:
        raise CacheError("unbounded views cannot be cached; set data.views to a number")
    if views < 1 or not parts:
        raise CacheError(f"{views} views of {list(parts)}: name one view and one signal at least")
    storage = {part: (storage or {}).get(part, LOSSLESS) for part in parts}
    check_directory(directory, identity)
    told = say if leases is None else lambda _: None  # a worker waits for no more than a beginning
    alone = platform.main_holds(lambda: writing_alone(directory, identity, told))
    with ExitStack() as beginning, running(role, parts, train, platform, before) as work:
        beginning.enter_context(alone)
        held = _begun(work, parts, storage, directory)
        missing = _missing(held, views)
        platform.wait()  # all have seen the same shards before the first new one
        platform.by_main(lambda: _check_place(directory, missing, held))
        if leases is not None:
            beginning.close()
        leases = leases or Leases(directory)
        _write_all(work, held, missing, observer or NullObserver(), leases, share)
        platform.wait()
        platform.by_main(lambda: _finish(held, views, leases))
        cache = open_cache(directory, identity, parts, views, storage=storage, shapes=shapes)
        spot_check(work, cache, storage)
    return cache


def _finish(held: Mapping[str, Shards], views: int, leases: Leases) -> None:
    for shards in held.values():
        shards.finish(views)
    leases.remove_dead()


def passes_left(
    directory: Location, parts: Sequence[str], storage: Mapping[str, Storage], views: int
) -> float:
    """How many passes over the data are still to be cached, 0 to ``views``; opens nothing."""
    lacking: dict[int, set[Spot]] = {}
    each: dict[int, int] = {}
    for part in parts:
        shards = find_part(directory, part, storage.get(part, LOSSLESS))
        if shards is None:
            return float(views)
        each[shards.per_shard] = len(shards.spots(1))
        spots = set(shards.spots(views)) - set(shards.present())
        lacking.setdefault(shards.per_shard, set()).update(spots)
    return sum(len(spots) / each[cut] for cut, spots in lacking.items())


def _begun(
    work: Pass, parts: Sequence[str], storage: Mapping[str, Storage], directory: Location
) -> dict[str, Shards]:
    """The shards of each part."""
    known = {part: find_part(directory, part, storage[part]) for part in parts}
    shapes = {part: work.shape(part) for part in parts}
    shapes |= {part: shards.shape for part, shards in known.items() if shards is not None}
    problems = {part: storage[part].problem(shapes[part]) for part in parts}
    for part, problem in problems.items():
        if problem:
            raise CacheError(f"'{work.role.name}.{part}': {problem}")
    each = max(sum(storage[part].bytes_per_sample(shapes[part]) for part in parts), 1)
    batches = min(ROWS_PER_SHARD, BYTES_PER_SHARD // each) // work.size
    work.platform.wait()
    with CLAIM.writing(directory):
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


def _missing(held: Mapping[str, Shards], views: int) -> dict[Gap, list[str]]:
    """Which parts each spot lacks, by how they are cut."""
    missing: dict[Gap, list[str]] = {}
    for part, shards in held.items():
        there = shards.present()
        for spot in shards.spots(views):
            if spot not in there:
                missing.setdefault((shards.per_shard, spot), []).append(part)
    return dict(sorted(missing.items()))


def _check_place(
    directory: Location, missing: Mapping[Gap, Sequence[str]], held: Mapping[str, Shards]
) -> None:
    """Make sure that what is missing can be written there; of what is whole nothing is asked."""
    for part in sorted({part for parts in missing.values() for part in parts}):
        folder = held[part].folder
        if not isinstance(folder, Remote):
            check_writable(folder, CLAIM.elsewhere, error=CacheError)
    check_room(directory, _bytes(missing, held))


def _bytes(missing: Mapping[Gap, Sequence[str]], held: Mapping[str, Shards]) -> int:
    """Bytes that the missing shards will take."""
    total = 0
    for (per_shard, (_, first)), parts in missing.items():
        for part in parts:
            shards = held[part]
            rows = min(per_shard, shards.rows - first)
            total += rows * shards.storage.bytes_per_sample(shards.shape)
    return total


def _write_all(
    work: Pass,
    held: Mapping[str, Shards],
    missing: Mapping[Gap, Sequence[str]],
    observer: Observer,
    leases: Leases,
    share: tuple[int, int] | None,
) -> None:
    """Record what is missing, beginning with one's own share, until somebody has recorded all."""
    if not missing:
        return
    first, shares = share or (work.platform.rank, work.platform.world)
    gaps = list(missing)
    left = [gap for k in range(shares) for gap in gaps[(first + k) % shares :: shares]]
    observer.begin(f"record {work.role.name}", len(left), 0)
    while left:
        before, others, queue = len(left), list[Gap](), deque(left)
        while queue:
            gap = queue.popleft()
            outcome = _write_one(work, {part: held[part] for part in missing[gap]}, gap, leases)
            if outcome == OTHERS:
                others.append(gap)
                continue
            observer.step(_rows(work, gap))
            if outcome == THERE and queue:  # what is left is an old list: one look at all of it
                known = {part: shards.present() for part, shards in held.items()}
                old, queue = queue, deque[Gap]()
                for each in old:
                    if _is_missing(each, missing[each], known):
                        queue.append(each)
                    else:
                        observer.step(_rows(work, each))
        left = others
        if len(left) == before:  # others are at work on all that is left
            leases.pause(WAIT)


def _rows(work: Pass, gap: Gap) -> int:
    """How many rows a place holds."""
    return min(gap[0], len(work.train.table) - gap[1][1])


def _is_missing(gap: Gap, parts: Sequence[str], known: Mapping[str, Collection[Spot]]) -> bool:
    return any(gap[1] not in known[part] for part in parts)


WRITTEN, THERE, OTHERS = "written", "there", "others"
"""What came of a place: recorded here, recorded before, or others are at work on it."""


def _write_one(work: Pass, parts: Mapping[str, Shards], gap: Gap, leases: Leases) -> str:
    """Record the shards of one place, unless somebody does or has."""
    per_shard, spot = gap
    name = f"{per_shard}-{spot[0]:04d}-{spot[1]:08d}"
    if not _lacking(parts, spot):
        return THERE
    if not leases.take(name):
        return OTHERS
    try:
        lacking = _lacking(parts, spot)  # who had the lease before may just have written them
        began = time.perf_counter()
        encoded = _shard(work, lacking, per_shard, spot, leases.renew) if lacking else {}
        seconds = time.perf_counter() - began
        for part, tensors in encoded.items():
            with CLAIM.writing(parts[part].folder):
                # The pass is counted once, however many signals it gave.
                parts[part].write(spot, tensors, seconds)
            seconds = 0.0
    finally:
        leases.give_back(name)
    return WRITTEN


def _lacking(parts: Mapping[str, Shards], spot: Spot) -> dict[str, Shards]:
    return {part: shards for part, shards in parts.items() if not shards.there(spot)}
