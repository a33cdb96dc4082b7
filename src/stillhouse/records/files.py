"""Files that are either whole or not there: written beside, flushed, then renamed."""

import contextlib
import json
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.faults import naming

Reading = float | list[float | None] | None
"""A number or list as JSON holds it: None stands for what is not finite."""


_MINE = f"{os.getpid()}-{secrets.token_hex(4)}"
"""Tells the files of this process from those of one that had its number before."""
_PART = re.compile(r"\..+\.(\d+)-([0-9a-f]{8})\.part")

JUNK = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
"""What systems put into folders unasked, beside names that begin with a dot; in lower case."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; it takes the place of ``path`` when the block ends well.

    Who may read it is left to the umask, whoever writes it.

    Raises:
        OSError: the system has something against it (the disk is full, ...); it names ``path``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as fresh:
    ...         _ = fresh.write_text("1")
    ...     sorted(p.name for p in Path(folder).iterdir())
    ['a.txt']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{threading.get_native_id()}.{_mine()}.part")
    try:
        with naming(path, fresh):
            mode = _mode_of_new(fresh)
            yield fresh
            with fresh.open("rb+") as written:  # Windows flushes only what is open for writing
                os.fsync(written.fileno())
            fresh.chmod(mode)
            os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _mine() -> str:
    """The name of this process, also where it was forked from the one that imported this."""
    number, _, token = _MINE.partition("-")
    return _MINE if number == str(os.getpid()) else f"{os.getpid()}-{token}"


def this_process() -> tuple[int, str]:
    """The number of this process, and a token that no other one has."""
    number, _, token = _mine().partition("-")
    return int(number), token


def _mode_of_new(path: Path) -> int:
    """The permissions of a new file in this folder, by umask and folder."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        path.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove what killed writers left; what a live process writes stays.

    Call it while no other machine writes there.
    """
    for unfinished in folder.glob(".*.part"):
        if not _is_live(unfinished.name):
            with contextlib.suppress(PermissionError):  # another user's, in a folder of all
                unfinished.unlink(missing_ok=True)


def _is_live(name: str) -> bool:
    """Whether the writer of such a file still runs here; of a name of another form: it does not."""
    found = _PART.fullmatch(name)
    if found is None:
        return False
    return is_running(int(found[1]), found[2])


def is_running(number: int, token: str) -> bool:
    """Whether a process of this machine still runs, by its number and the token of `this_process`.

    >>> is_running(*this_process()), is_running(this_process()[0], "of another one")
    (True, False)
    """
    if number == os.getpid():  # in a container the one that was killed had it, too
        return token == this_process()[1]
    if os.name != "posix":
        return True  # asking would end it there
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # of another user
    return True


def is_junk(name: str) -> bool:
    """Whether a name is hidden, or that of a file that systems put into folders unasked.

    >>> is_junk(".DS_Store"), is_junk("Thumbs.db"), is_junk("cat.png")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in JUNK


def write_text(path: Path, text: str) -> None:
    """Write a text file whole; one that says the same already is left as it is."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole; one that holds the same already is left as it is."""
    with contextlib.suppress(OSError):
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            return
    with replacing(path) as fresh:
        fresh.write_bytes(content)


def copy_file(source: Path, target: Path) -> None:
    """Copy the content of a file whole."""
    with replacing(target) as fresh:
        shutil.copyfile(source, fresh)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole for others to read; nan and inf become null.

    What we read again ourselves is written by `stillhouse.records.checked`.
    """
    write_text(path, json.dumps(finite(value), indent=1, ensure_ascii=False) + "\n")


def finite(value: Any) -> Any:
    """The same value with nan and inf as None.

    >>> finite({"a": [float("nan"), 1.0]})
    {'a': [None, 1.0]}
    """
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


class Lines:
    """A file of JSON lines that survives a kill: a torn last line is dropped when it is read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = Lines(Path(folder) / "metrics.jsonl")
    ...     lines.append({"epoch": 1}); lines.append({"epoch": 2})
    ...     lines.read()
    [{'epoch': 1}, {'epoch': 2}]
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, value: Mapping[str, Any]) -> None:
        """Add one line; after a torn one, on a line of its own."""
        line = json.dumps(finite(value), ensure_ascii=False).encode() + b"\n"
        with naming(self.path), self.path.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            torn = file.read(1) not in (b"", b"\n")
            file.write(b"\n" + line if torn else line)

    def read(self) -> list[dict[str, Any]]:
        """All whole lines."""
        if not self.path.exists():
            return []
        lines = []
        for text in self.path.read_bytes().split(b"\n"):  # text may hold other line separators
            with contextlib.suppress(
                ValueError, RecursionError
            ):  # torn, perhaps inside a character
                line = json.loads(text)
                if isinstance(line, dict):
                    lines.append(line)
        return lines

    def rewrite(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Hold these lines instead; nothing is written where it does, or where there are none."""
        if lines or self.path.exists():
            texts = (json.dumps(finite(line), ensure_ascii=False) for line in lines)
            write_text(self.path, "".join(f"{text}\n" for text in texts))
