"""Copies on this machine of files that lie on an object store, in bounded room.

A copy is named by its checksum, so it is either right or found to be wrong, and never out of date;
processes and runs share them. What was used longest ago goes first.
"""

import contextlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stillhouse.records.file_hashes import cache_path
from stillhouse.records.files import replacing
from stillhouse.records.fingerprint import file_hash
from stillhouse.records.locks import lock_on

GB = 10**9
DEFAULT_GB = 20.0
DIGITS = 16
"""Hexadecimal digits of a checksum in a name."""


def default_folder() -> Path:
    """Where copies are kept unless a recipe says where: beside the user's other caches."""
    return cache_path().parent / "shards"


@dataclass(frozen=True)
class LocalCopies:
    """A folder of copies.

    Args:
        folder: made when the first one comes.
        most: bytes that they may take together.
    """

    folder: Path
    most: int

    def fetch(self, name: str, size: int, write: Callable[[Path], object]) -> Path | None:
        """The copy of a file, written from the store where it is not here.

        Of several processes that want one file at once, one asks the store.

        Args:
            name: ends on ``-CHECKSUM.SUFFIX``, the first digits of its sha256.
            size: of it, in bytes.
            write: puts its content into a file.

        Returns:
            None where what the store gives does not fit the name.

        >>> import hashlib, tempfile
        >>> digest = hashlib.sha256(b"kd").hexdigest()[:16]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     copies = LocalCopies(Path(folder), 100)
        ...     one = copies.fetch(f"a-{digest}.bin", 2, lambda path: path.write_bytes(b"kd"))
        ...     other = copies.fetch(f"b-{digest}.bin", 2, lambda path: path.write_bytes(b"th"))
        ...     one.read_bytes(), other
        (b'kd', None)
        """
        path = self.folder / name
        if self._held_well(path):
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock_on(self.folder / f".{name}.lock"):
            if self._held_well(path):  # another process was first
                return path
            self._make_room(size)
            with contextlib.suppress(_Unfit), replacing(path) as fresh:
                write(fresh)
                if not _fits(name, file_hash(fresh)):
                    raise _Unfit
                return path
            return None

    def fetch_unknown(
        self, start: str, suffix: str, size: int, write: Callable[[Path], object]
    ) -> tuple[Path, str]:
        """A file whose checksum nobody knows yet, and that checksum; kept under its name.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     copies = LocalCopies(Path(folder), 100)
        ...     path, digest = copies.fetch_unknown("a", ".bin", 2, lambda p: p.write_bytes(b"kd"))
        ...     path.name == f"a-{digest[:16]}.bin"
        True
        """
        self._make_room(size)
        arriving = self.folder / f".{start}.{secrets.token_hex(4)}"
        try:
            with replacing(arriving) as fresh:
                write(fresh)
            digest = file_hash(arriving)
            path = self.folder / f"{start}-{digest[:DIGITS]}{suffix}"
            os.replace(arriving, path)
        finally:
            arriving.unlink(missing_ok=True)
        return path, digest

    def _held_well(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            if _fits(path.name, file_hash(path)):
                os.utime(path)  # used now
                return True
        return False

    @property
    def bytes(self) -> int:
        """What all copies take."""
        return sum(size for _, size, _ in self._held())

    def _held(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self.folder.glob("[!.]*"):
            with contextlib.suppress(OSError):  # another process removed it
                about = path.stat()
                found.append((about.st_mtime, about.st_size, path))
        return sorted(found)

    def _make_room(self, size: int) -> None:
        held = self._held()
        total = sum(each for _, each, _ in held) + size
        for _, each, path in held:
            if total <= self.most:
                return
            with contextlib.suppress(OSError):  # in use on Windows; elsewhere it stays readable
                path.unlink()
                total -= each


class _Unfit(Exception):  # noqa: N818  (an event, not an error)
    """What the store gave has another checksum."""


def _fits(name: str, digest: str) -> bool:
    told = name.rpartition("-")[2].partition(".")[0]
    return bool(told) and digest.startswith(told)
