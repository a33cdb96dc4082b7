"""Images in tar archives, read where they lie: on this machine, or on an object store by copies."""

import hashlib
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.sources.archive_index import ArchiveIndex, index_at, index_of, remember
from stillhouse.data.sources.files import shown
from stillhouse.errors import DataError
from stillhouse.records.file_hashes import file_hashes
from stillhouse.records.local_copies import DEFAULT_GB, GB, LocalCopies, default_folder
from stillhouse.records.remote import TRIES, Remote

MOST_OPEN = 64
"""Archives that a process holds open at once."""


@dataclass(frozen=True)
class ArchiveSettings:
    """How archives are shown and held.

    Args:
        shuffle: rows of so many archives are shuffled together, in a new order of archives each
            epoch; None: all rows.
        local: where copies of archives on a store lie on this machine.
        local_gb: room for them.
    """

    shuffle: int | None = None
    local: Path | None = None
    local_gb: float = DEFAULT_GB

    @property
    def copies(self) -> LocalCopies:
        """Where archives on a store are copied to."""
        return LocalCopies(self.local or default_folder(), round(self.local_gb * GB))


@dataclass(frozen=True)
class Archive:
    """One archive, here or on a store.

    Args:
        place: where it is.
        copy: gives it on this machine; from a store its copy is made where it is gone.
        size: of it, in bytes.
        index: what is in it.
    """

    place: str
    copy: Callable[[], Path]
    size: int
    index: ArchiveIndex


def archive_here(path: Path) -> Archive:
    """An archive on this machine.

    Raises:
        DataError: it is none, or cannot be read.
    """
    try:
        (digest,) = file_hashes([str(path)])
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error
    return Archive(str(path), partial(Path, path), size, index_of(path, str(path), digest))


def archive_at(place: Remote) -> Archive:
    """An archive on a store, which is copied once to be indexed.

    Raises:
        DataError: it is none.
        SystemFault: the store cannot be read.
    """
    size, version = place.version()
    index = index_at(str(place), size, version) if version else None
    if index is None:
        stem = Path(place.name).stem
        path, digest = place.copies.fetch_unknown(stem, ".tar", size, place.copy_to)
        index = index_of(path, str(place), digest)
        remember(str(place), size, version, digest)
    return Archive(str(place), partial(_copied, place, size, index.digest), size, index)


def _copied(place: Remote, size: int, digest: str) -> Path:
    name = f"{Path(place.name).stem}-{digest[:16]}.tar"
    for _ in range(TRIES):  # an answer may be cut short without a word
        try:
            path = place.copies.fetch(name, size, place.copy_to)
        except FileNotFoundError:
            raise DataError(f"{place} was removed while it is in use; put it back") from None
        if path is not None:
            return path
    raise DataError(
        f"{place} has another content than when it was read first; start anew, so that all rows "
        "are of one state of the data"
    )


class ArchiveImages:
    """The encoded images of one split, over all its archives, in their order.

    Shapes:
        archive, offset, size: int64 [N]; names: bytes [N]; seen: int32 [N, 3], see `ArchiveIndex`.
    """

    def __init__(self, archives: Sequence[Archive], rows: Sequence[np.ndarray]) -> None:
        self.places = [archive.place for archive in archives]
        self.digests = [archive.index.digest for archive in archives]
        self.open_archives = OpenArchives([archive.copy for archive in archives])
        counts = [len(members) for members in rows]
        self.archive = np.repeat(np.arange(len(archives)), counts)

        def taken(column: str) -> np.ndarray:
            parts = [getattr(a.index, column)[r] for a, r in zip(archives, rows, strict=True)]
            return np.concatenate(parts)

        self.offset, self.size = taken("offsets"), taken("sizes")
        self.names, self._seen = taken("names"), taken("seen")

    def __len__(self) -> int:
        return len(self.archive)

    def where(self, row: int) -> str:
        """Name the archive, and the file in it."""
        return f"{self.places[self.archive[row]]}: {self.name(row)}"

    def name(self, row: int) -> str:
        """What the image is called in its archive."""
        return shown(os.fsdecode(self.names[row]))

    def seen(self, row: int) -> tuple[int, int, bool]:
        """Width, height, and whether it is grey, as the index has them."""
        width, height, grey = self._seen[row].tolist()
        return width, height, bool(grey)

    def open(self, row: int) -> BinaryIO:
        """The bytes of one image."""
        size = int(self.size[row])
        content = self.open_archives.read(int(self.archive[row]), int(self.offset[row]), size)
        if len(content) < size:
            raise DataError(f"{self.where(row)}: the archive was cut short while it is in use")
        return io.BytesIO(content)

    def fingerprint(self) -> str:
        """Of the content of the archives, in their order, and of the rows that are read of them."""
        marks = " ".join(self.digests)
        rows = hashlib.sha256(np.stack([self.archive, self.offset]).astype("<i8").tobytes())
        return f"{marks} {rows.hexdigest()}"

    @property
    def blocks(self) -> Tensor:
        """Which archive each row is in, int64 [N]."""
        return torch.from_numpy(self.archive)


@dataclass
class OpenArchives:
    """Files that stay open between reads, the most recently used ones; in each process its own."""

    copies: Sequence[Callable[[], Path]]
    most: int = MOST_OPEN
    _held: OrderedDict[int, BinaryIO] = field(default_factory=OrderedDict)
    _process: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.copies, self.most)

    def read(self, archive: int, offset: int, size: int) -> bytes:
        """So many bytes of an archive from a place on; fewer where it ends."""
        with self._lock:
            file = self._opened(archive)
            file.seek(offset)
            return file.read(size)

    def _opened(self, archive: int) -> BinaryIO:
        if self._process != os.getpid():  # a forked process shares no position with its parent
            self.close()
            self._process = os.getpid()
        if archive not in self._held:
            path = self.copies[archive]()
            try:
                self._held[archive] = cast(BinaryIO, path.open("rb", buffering=0))
            except OSError as error:
                raise DataError(f"{path} cannot be read ({error.strerror or error})") from error
            if len(self._held) > self.most:
                self._held.popitem(last=False)[1].close()
        self._held.move_to_end(archive)
        return self._held[archive]

    def close(self) -> None:
        """Close what is open; it is opened again when it is read."""
        for file in self._held.values():
            file.close()
        self._held.clear()

    def __del__(self) -> None:
        self.close()
