"""The directory of a teacher cache: one run writes at a time, and what stands in the way is said."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from stillhouse.errors import CacheError


@contextlib.contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Say what the system has against writing there.

    Raises:
        CacheError: read-only, full, a file where a folder should be, ...
    """
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"a teacher cache cannot be written to {directory} ({error}); choose another place "
            "(cache.directory), or run the teacher live (cache: never)"
        ) from error


@contextlib.contextmanager
def alone(directory: Path, *, main: bool, say: Callable[[str], None]) -> Iterator[None]:
    """One run records at a time; the others wait and then find its shards."""
    lock = FileLock(directory / ".lock")
    if main:
        with writing(directory):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"another run records {directory}; waiting for it")
                lock.acquire()
    try:
        yield
    finally:
        lock.release()
