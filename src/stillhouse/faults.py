"""What the system does to a command, in one sentence: a full disk, short memory, a lost process.

Others raise these as they come (`OSError`, `MemoryError`, a `RuntimeError` of torch with a text);
what they mean for the user, and what can be done, stands here and nowhere else.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stillhouse.errors import StillhouseError, SystemFault

ROOM = 1 << 20
"""Free bytes under which a disk is taken for full where a library hides the system's own word."""

FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EACCES, errno.EPERM)
UNREACHED = (errno.EIO, errno.ESTALE)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)

MEANING = {
    **dict.fromkeys(FULL, "cannot be written, the disk is full ({said}); make room"),
    errno.EFBIG: "would be larger than a file may be here ({said}; see ulimit -f)",
    errno.EROFS: "cannot be written, its file system is read-only",
    **dict.fromkeys(NOT_ALLOWED, "may not be used by you ({said}); {owner}"),
    errno.EEXIST: "is a file, where a directory would have to be",
    errno.ENOTDIR: "is under a file, where a directory would have to be",
    errno.EISDIR: "is a directory, and a file is wanted",
    errno.ENAMETOOLONG: "is too long a name for its file system",
    errno.ENOENT: "is not there; it may have been removed while the command ran",
    **dict.fromkeys(UNREACHED, "cannot be read or written, its disk or network fails ({said})"),
}
"""What is to be said of a file, by the system's number."""

MEMORY = re.compile(
    r"can't allocate memory|not enough memory|out of memory|[Cc]annot allocate memory|"
    r"unable to (mmap|allocate)|CUBLAS_STATUS_ALLOC_FAILED|std::bad_alloc"
)
ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+ ?(?:bytes|[KMGT]iB))")
WORKER = re.compile(
    r"DataLoader worker \(pid\S* ?(\d+)[^)]*\) (?:is killed by|exited)[^.:]*"
    r"(?::? ?([A-Z]\w+(?: \w+)?))?"
)
SHARED_MEMORY = re.compile(r"Bus error|shared memory|shm")
LOST = re.compile(
    r"Connection closed by peer|Connection reset by peer|Connection refused|Broken pipe|"
    r"[Tt]imed out|[Tt]imeout|recvValue failed|failed to recv|remote error|remote process exited"
)
TALK = re.compile(r"gloo|NCCL|TCPStore")
"""What torch says in a process whose neighbour has ended, and who says it."""


def fault_of(error: BaseException) -> SystemFault | None:
    """What an exception says of the system; None where it says nothing of it.

    >>> print(fault_of(OSError(errno.ENOSPC, "No space left on device", "runs/a/checkpoint.pt")))
    runs/a/checkpoint.pt cannot be written, the disk is full (No space left on device); make room
    >>> fault_of(KeyError("student")) is None
    True
    """
    if isinstance(error, SystemFault):
        return error
    if isinstance(error, StillhouseError):
        return None
    said = _said(error)
    return None if said is None else SystemFault(said)


@contextmanager
def system_faults() -> Iterator[None]:
    """Let what the system does to a call be a `SystemFault`, caused by what was raised.

    Raises:
        SystemFault: a disk, memory, a process or the network failed.
    """
    try:
        yield
    except Exception as error:
        fault = fault_of(error)
        if fault is None or fault is error:
            raise
        raise fault from error


@contextmanager
def naming(path: Path, *others: Path) -> Iterator[None]:
    """Let what the system has against writing a file be an `OSError` that names it.

    Writing to an open file names none, and libraries have errors of their own.

    Args:
        path: is named.
        others: in whose place it is named, such as the file beside it that is written first.

    Raises:
        OSError: with the number of the system's error, and the path.
    """
    try:
        yield
    except Exception as error:
        number = _number(error, path)
        named = getattr(error, "filename", None)
        if number is None or named not in (None, *map(str, others)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _said(error: BaseException) -> str | None:
    text = first_line(error)
    if isinstance(error, MemoryError) or _of_torch(error, MEMORY, text):
        asked = ASKED.search(text)
        more = f" ({asked[1].strip()} more were asked for)" if asked else ""
        return (
            f"memory is short{more}; lower batch (accumulate keeps the size of a step), "
            "data.workers, or the networks"
        )
    if isinstance(error, RecursionError):
        return f"something is nested too deep ({text}); --debug shows where"
    if isinstance(error, OSError):
        return _of_file(error, text)
    if isinstance(error, RuntimeError):
        return _of_processes(error, text)
    number = _number(error, None)
    return None if number is None else _of_file(OSError(number, os.strerror(number)), text)


def _of_torch(error: BaseException, pattern: re.Pattern[str], text: str) -> bool:
    """Whether it is one of torch's errors without a class of their own, with such a text."""
    return isinstance(error, RuntimeError | OSError) and bool(pattern.search(text))


def _of_file(error: OSError, text: str) -> str:
    number, said = error.errno, error.strerror or text
    if number in TOO_MANY_FILES or "Too many open files" in text:
        return f"too many files are open ({_limit()}); raise the limit, or lower data.workers"
    if number == errno.EAGAIN:
        return f"no further process or thread may be started ({said}; see ulimit -u)"
    path = error.filename2 or error.filename
    if number is None or path is None:
        full = "the disk is full: " if number in FULL else ""
        return f"{full}{said}"
    name = path if isinstance(path, str) else str(os.fsdecode(path))
    name = name if len(name) <= 160 else f"{name[:80]}...{name[-40:]}"
    meaning = MEANING.get(number, "cannot be used ({said})")
    return f"{name} {meaning.format(said=said, owner=_owner(path))}"


def _owner(path: str | bytes | int) -> str:
    """Whose it is, or whose the nearest folder above it is that can be seen; and what helps."""
    there = Path(os.fsdecode(path)) if isinstance(path, str | bytes) else Path()
    for each in (there, *there.absolute().parents):
        try:
            found = each.stat()
        except OSError:
            continue
        mode = stat.filemode(found.st_mode)
        if hasattr(os, "geteuid") and found.st_uid == os.geteuid():
            return f"{each} is yours, and its mode is {mode} (chmod u+rwX)"
        return (
            f"{each} is of user {found.st_uid}, mode {mode}; its owner can share it with a group "
            "(chmod -R g+rwX, and umask 002 from then on)"
        )
    return "see its owner and mode"


def _of_processes(error: RuntimeError, text: str) -> str | None:
    worker = WORKER.search(str(error))
    if worker is not None:
        how = f" by signal {worker[2]}" if worker[2] else ""
        if SHARED_MEMORY.search(str(error)):
            return (
                f"a loader process was ended{how}: shared memory is short (df /dev/shm); lower "
                "data.workers or batch"
            )
        return (
            f"a loader process (number {worker[1]}) was ended{how}, perhaps since memory is short; "
            "lower data.workers or batch"
        )
    if "Too many open files" in text:
        return f"too many files are open ({_limit()}); raise the limit, or lower data.workers"
    if "can't start new thread" in text:
        return "no further thread may be started (see ulimit -u)"
    number = _number(error, None)
    if number is not None:
        return _of_file(OSError(number, os.strerror(number)), text)
    lost = LOST.search(text)
    if type(error).__name__.startswith("Dist") or (lost and TALK.search(text)):
        why = lost[0] if lost else text[:80]
        return f"another process of this run has ended or cannot be reached ({why})"
    return None


def _number(error: BaseException, path: Path | None) -> int | None:
    """The system's number behind an error, also where a library tells it in words only."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))  # safetensors
    if found is not None:
        return int(found[1])
    if isinstance(error, RuntimeError) and "inline_container" in str(error):  # torch.save
        behind: BaseException | None = error
        while behind is not None:
            if isinstance(behind, OSError):
                return behind.errno
            behind = behind.__context__
        return errno.ENOSPC if path is not None and _is_full(path) else errno.EIO
    return None


def _is_full(path: Path) -> bool:
    import shutil

    return shutil.disk_usage(path.parent).free < ROOM


def _limit() -> str:
    try:
        from resource import RLIMIT_NOFILE, getrlimit  # Windows has none
    except ImportError:
        return "the system's limit"
    return f"{getrlimit(RLIMIT_NOFILE)[0]} may be, see ulimit -n"


def own_words(error: BaseException) -> str:
    """An error's message, without the traceback that a loader process puts before it.

    >>> own_words(ValueError("no rows"))
    'no rows'
    """
    text = str(error)
    if not text.startswith("Caught "):
        return text
    last = text.strip().splitlines()[-1]
    name, _, said = last.partition(": ")
    return said if said and name.rpartition(".")[2].isidentifier() else last


def first_line(error: BaseException) -> str:
    """The first line of an error's own words; its class where it has none."""
    lines = own_words(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
