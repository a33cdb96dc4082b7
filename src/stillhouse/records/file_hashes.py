"""Hashes of many files, remembered beside the user's other caches: bytes decide, not names.

A file is hashed again unless nothing about it changed: path, size, time of change of content and
of entry (which no program sets at will), and number on the disk. A file that changed a moment ago
is not remembered, since a second change could have the same time. The table lies in the user's
cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``), never beside the data; where it cannot be
written or read, all files are hashed.
"""

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from stillhouse.records.fingerprint import file_hash

SETTLED_NS = 3 * 10**9
"""So long must a file have been left alone: coarser than the clock of any file system."""
TOGETHER = 1000
"""Files whose hashes are looked up, and written, at once."""
TABLE = (
    "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, known TEXT NOT NULL, "
    "sha256 TEXT NOT NULL, checksum TEXT NOT NULL) WITHOUT ROWID"
)


def cache_path() -> Path:
    """Where the hashes are remembered."""
    given = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(given) if given else Path.home() / ".cache") / "stillhouse" / "files-v2.sqlite"


def file_hashes(paths: Iterable[str]) -> Iterator[str]:
    """Sha256 of each of these files, in order.

    Raises:
        OSError: a file cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a").write_bytes(b"kd")
    ...     [mark[:16] for mark in file_hashes([str(Path(folder) / "a")])]
    ['f66025c51e65b02f']
    """
    with contextlib.closing(_Remembered()) as remembered:
        group: list[str] = []
        for path in paths:
            group.append(path)
            if len(group) == TOGETHER:
                yield from _hashed(group, remembered)
                group = []
        yield from _hashed(group, remembered)


def _hashed(paths: list[str], remembered: "_Remembered") -> list[str]:
    keys = [os.fsencode(os.path.abspath(path)) for path in paths]
    before = remembered.find(keys)
    marks, fresh = [], []
    for path, key in zip(paths, keys, strict=True):
        known, changed = _known(path)
        at, mark = before.get(key, ("", ""))
        if at != known:
            began = time.time_ns()
            mark = file_hash(Path(path))
            if began - changed > SETTLED_NS and _known(path)[0] == known:
                fresh.append((key, known, mark))
        marks.append(mark)
    remembered.keep(fresh)
    return marks


def _known(path: str) -> tuple[str, int]:
    """What tells whether a file changed, and when it did last."""
    found = os.stat(path)
    told = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino)
    return " ".join(map(str, told)), max(found.st_mtime_ns, found.st_ctime_ns)


def _checksum(path: bytes, known: str, mark: str) -> str:
    return hashlib.sha256(path + f"\0{known}\0{mark}".encode()).hexdigest()


class _Remembered:
    """The table; one that cannot be used is as good as an empty one."""

    def __init__(self) -> None:
        self._table: sqlite3.Connection | None = None
        with contextlib.suppress(sqlite3.Error, OSError, RuntimeError):
            path = cache_path()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._table = sqlite3.connect(path, timeout=10)
            self._table.execute(TABLE)

    def find(self, keys: list[bytes]) -> dict[bytes, tuple[str, str]]:
        """What is known of these files."""
        wanted = ", ".join("?" * len(keys))
        if self._table is not None and keys:
            with contextlib.suppress(sqlite3.Error):
                rows = self._table.execute(
                    f"SELECT path, known, sha256, checksum FROM files WHERE path IN ({wanted})",  # noqa: S608
                    keys,
                )
                return {
                    path: (known, mark)
                    for path, known, mark, told in rows
                    if told == _checksum(path, known, mark)  # else the row is damaged: hash again
                }
        return {}

    def keep(self, rows: list[tuple[bytes, str, str]]) -> None:
        """Remember these."""
        if self._table is not None and rows:
            with contextlib.suppress(sqlite3.Error), self._table:
                whole = [(*row, _checksum(*row)) for row in rows]
                self._table.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", whole)

    def close(self) -> None:
        """Leave the table."""
        if self._table is not None:
            self._table.close()
