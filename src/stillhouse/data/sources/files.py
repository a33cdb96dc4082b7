"""Image files below a folder: which are read, and what is left out and said."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path
from typing import BinaryIO

from stillhouse.data.sources.labelled_splits import natural

UNREADABLE = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "FPX", "MIC", "IPTC"})
"""Formats that Pillow names and cannot decode by itself (some start another program)."""
FOREIGN_FOLDERS = frozenset({"__MACOSX"})
"""What archives of other systems leave beside the data."""


def readable() -> dict[str, str]:
    """Suffix -> format, of all that Pillow decodes here, with what its plugins have registered.

    >>> readable()[".jpeg"], ".eps" in readable()
    ('JPEG', False)
    """
    from PIL import Image

    Image.init()
    return _readable((len(Image.EXTENSION), len(Image.OPEN)))


@cache
def _readable(_registered: tuple[int, int]) -> dict[str, str]:
    """Made anew whenever a plugin was registered."""
    from PIL import Image

    return {
        suffix: kind
        for suffix, kind in Image.EXTENSION.items()
        if kind in Image.OPEN and kind not in UNREADABLE
    }


def formats() -> tuple[str, ...]:
    """The formats of Pillow that are read; no other parser is tried on anybody's bytes."""
    return tuple(dict.fromkeys(readable().values()))


def open_regular(path: str | Path) -> BinaryIO:
    """A file to read; pipes, sockets and devices are refused at once, and never waited for.

    Raises:
        OSError: it is none, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("it is no regular file")
    return os.fdopen(handle, "rb")


class LeftOut:
    """What lies in a folder and is not read, counted by kind.

    >>> left = LeftOut()
    >>> left.add(".txt"), left.add(".txt"), left.add("hidden")
    (None, None, None)
    >>> str(left)
    '2 .txt, 1 hidden'
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, kind: str) -> None:
        """One more of this kind."""
        self.counts[kind] += 1

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.counts.items()))


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's data."""
    return name.startswith(".") or name in FOREIGN_FOLDERS


def folders_in(place: Path, left: LeftOut) -> list[Path]:
    """The folders in a folder that are not hidden, in natural order; the rest is counted."""
    found = []
    for entry in _entries(place):
        if is_hidden(entry.name):
            left.add("hidden")
        elif entry.is_dir():
            found.append(Path(entry.path))
        else:
            left.add(f"{_kind(entry)} outside class folders")
    return sorted(found, key=lambda path: natural(path.name))


def image_files(place: Path, left: LeftOut) -> list[str]:
    """The images below a folder at every depth, relative to it, in natural order.

    Links are followed, but never in a circle. Only regular files are ever opened later on: pipes,
    sockets and devices are counted among what is left out.
    """
    suffixes = frozenset(readable())
    found = [os.path.relpath(path, place) for path in _walk(place, left, suffixes, frozenset())]
    return sorted(found, key=lambda path: natural(Path(path).as_posix()))


def _walk(
    place: str | Path, left: LeftOut, suffixes: Set[str], above: Set[tuple[int, int]]
) -> Iterator[str]:
    here = os.stat(place)
    if (here.st_dev, here.st_ino) in above:
        left.add("link to a folder above it")
        return
    above = {*above, (here.st_dev, here.st_ino)}
    for entry in _entries(place):
        if is_hidden(entry.name):
            left.add("hidden")
        elif entry.is_dir():
            yield from _walk(entry.path, left, suffixes, above)
        elif entry.is_file() and _suffix(entry) in suffixes:
            yield entry.path
        else:
            left.add(_kind(entry))


def _entries(place: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(place) as entries:
        return list(entries)


def _suffix(entry: os.DirEntry[str]) -> str:
    return os.path.splitext(entry.name)[1].lower()


def _kind(entry: os.DirEntry[str]) -> str:
    """What to call a file that is left out."""
    try:
        mode = entry.stat().st_mode
    except OSError:
        return "broken link"
    if not stat.S_ISREG(mode):
        return "pipe, socket or device"
    suffix = _suffix(entry)
    return shown(suffix) if suffix else "without a suffix"


def shown(text: str) -> str:
    """A name as it can be printed: bytes that are no UTF-8 are written out.

    >>> len(shown(os.fsdecode(bytes([99, 97, 102, 233]))))
    7
    """
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def on_one_line(text: str) -> str:
    r"""A name in a line of a table: what is not printed, such as a line break, is written out.

    >>> on_one_line("a\tb ü")
    'a\\tb ü'
    """
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def is_utf8(name: str) -> bool:
    """Whether a name is text that any file of ours can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
