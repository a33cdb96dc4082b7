"""Copies on this machine of sealed files that lie on an object store, in bounded room.

A sealed file is named by its checksum, so a copy is either right or found to be wrong, and never
out of date; processes and runs share them. What was used longest ago goes first.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stillhouse.records.file_hashes import cache_path
from stillhouse.records.files import replacing

GB = 10**9
DEFAULT_GB = 20.0


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

    def fetch(self, name: str, size: int, read: Callable[[], bytes]) -> Path | None:
        """The copy of a file, read from the store where it is not here.

        Args:
            name: ends on ``-CHECKSUM.SUFFIX``, the first digits of its sha256.
            size: of it, in bytes.
            read: gives its content.

        Returns:
            None where what the store gives does not fit the name.

        >>> import tempfile
        >>> digest = hashlib.sha256(b"kd").hexdigest()[:16]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     copies = LocalCopies(Path(folder), 100)
        ...     one = copies.fetch(f"a-{digest}.bin", 2, lambda: b"kd")
        ...     other = copies.fetch(f"b-{digest}.bin", 2, lambda: b"th")
        ...     one.read_bytes(), other
        (b'kd', None)
        """
        path = self.folder / name
        with contextlib.suppress(OSError):
            if _fits(name, path.read_bytes()):
                os.utime(path)  # used now
                return path
        content = read()
        if not _fits(name, content):
            return None
        self._make_room(size)
        with replacing(path) as fresh:
            fresh.write_bytes(content)
        return path

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


def _fits(name: str, content: bytes) -> bool:
    digest = name.rpartition("-")[2].partition(".")[0]
    return bool(digest) and hashlib.sha256(content).hexdigest().startswith(digest)
