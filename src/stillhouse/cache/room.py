"""How much room a teacher cache takes, and whether the disk has it."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from stillhouse.cache.codec import LOSSLESS, Storage
from stillhouse.errors import CacheError

SPARE = 1 << 28
"""Bytes that stay free: a full disk would take checkpoints and logs down with it. 256 MiB."""


def size_of(
    shapes: Mapping[str, Sequence[int]],
    storage: Mapping[str, Storage],
    *,
    rows: int,
    views: int,
) -> int:
    """Bytes of the signals of these shapes (without the batch), without file headers.

    >>> size_of({"logits": [100]}, {}, rows=50_000, views=8)
    160000000
    """
    each = sum(storage.get(part, LOSSLESS).bytes_per_sample(s) for part, s in shapes.items())
    return each * rows * views


def room_in(directory: Path) -> int:
    """Free bytes where a directory is or will be."""
    there = directory
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def check_room(directory: Path, needed: int) -> None:
    """Make sure that the disk has room, before anything is run; what is there needs none.

    Raises:
        CacheError: it has not; says how much is needed and how much there is.
    """
    free = room_in(directory)
    if needed and needed + SPARE > free:
        raise CacheError(
            f"the teacher cache takes {in_words(needed)}, but {directory} has room for "
            f"{in_words(max(free - SPARE, 0))} ({in_words(SPARE)} stay free): show fewer views "
            "(data.views), store float16 (cache.dtype), choose another disk (cache.directory), or "
            "run the teacher live (cache: never)"
        )


def in_words(size: float) -> str:
    """A number of bytes for people.

    >>> in_words(160_000_000)
    '160 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
