"""What the system does is told in one sentence, by its number or by the words of a library."""

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from stillhouse.engine.checkpoint import Checkpoint
from stillhouse.errors import DataError, SystemFault
from stillhouse.faults import fault_of, own_words, system_faults
from stillhouse.records.files import Lines, write_text


def of(number: int, path: str | None = "runs/a/scores.json") -> OSError:
    return OSError(number, os.strerror(number), *([path] if path else []))


TORCH_CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 4000000000 bytes. Error code 12 (Cannot allocate memory)"
)
GLOO = "[/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1"
CASES: dict[str, tuple[BaseException, tuple[str, ...]]] = {
    "full": (of(errno.ENOSPC), ("scores.json", "disk is full", "make room")),
    "quota": (of(errno.EDQUOT), ("scores.json", "disk is full")),
    "full, of an open file": (of(errno.ENOSPC, None), ("disk is full",)),
    "read-only": (of(errno.EROFS), ("scores.json", "read-only")),
    "not allowed": (of(errno.EACCES), ("scores.json", "Permission denied")),
    "under a file": (of(errno.ENOTDIR), ("scores.json", "under a file")),
    "too long": (of(errno.ENAMETOOLONG, "a" * 400), ("aaa...aaa", "too long a name")),
    "removed": (of(errno.ENOENT), ("scores.json", "removed while the command ran")),
    "open files": (of(errno.EMFILE), ("too many files are open", "ulimit -n")),
    "input and output": (of(errno.EIO), ("scores.json", "Input/output error")),
    "no more processes": (of(errno.EAGAIN, None), ("process or thread", "ulimit -u")),
    "another one": (of(errno.EBUSY), ("scores.json", "resource busy")),
    "without a number": (OSError("image file is truncated"), ("image file is truncated",)),
    "memory": (MemoryError(), ("memory is short", "lower batch")),
    "memory of a fork": (of(errno.ENOMEM, None), ("memory is short",)),
    "memory of torch": (RuntimeError(TORCH_CPU), ("memory is short (4000000000 bytes more",)),
    "memory of an accelerator": (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
        ("memory is short (2.00 GiB more",),
    ),
    "shared memory": (
        RuntimeError("unable to mmap 256 bytes from file </torch_1>: Cannot allocate memory (12)"),
        ("memory is short",),
    ),
    "nesting": (RecursionError("maximum recursion depth exceeded"), ("nested too deep",)),
    "a loader that was killed": (
        RuntimeError("DataLoader worker (pid 345) is killed by signal: Killed. "),
        ("loader process (number 345) was ended by signal Killed", "data.workers"),
    ),
    "a loader that ended": (
        RuntimeError("DataLoader worker (pid(s) 3) exited unexpectedly"),
        ("loader process (number 3) was ended, perhaps",),
    ),
    "/dev/shm": (
        RuntimeError("DataLoader worker (pid 9) is killed by signal: Bus error. It is possible "
                     "that dataloader's workers are out of shared memory."),
        ("by signal Bus error: shared memory is short", "/dev/shm"),
    ),
    "a process of the run": (RuntimeError(GLOO), ("another process", "Connection closed by peer")),
}  # fmt: skip
OTHERS = (KeyError("x"), RuntimeError("size mismatch"), DataError("no rows"), ValueError("12"))


@pytest.mark.parametrize("case", CASES)
def test_a_fault_of_the_system_is_one_sentence(case: str) -> None:
    error, expected = CASES[case]
    fault = fault_of(error)
    assert fault is not None
    for part in expected:
        assert part in str(fault)
    assert "\n" not in str(fault)
    with pytest.raises(SystemFault) as found, system_faults():
        raise error
    assert found.value.__cause__ is error


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: type(error).__name__)
def test_what_is_none_is_raised_as_it_is(error: Exception) -> None:
    assert fault_of(error) is None
    with pytest.raises(type(error)) as found, system_faults():
        raise error
    assert found.value is error


def test_the_words_of_a_loader_process_are_its_last_line() -> None:
    text = "Caught DataError in DataLoader worker process 0.\nOriginal Traceback:\n  File\n"
    assert own_words(DataError(f"{text}stillhouse.errors.DataError: x: no image")) == "x: no image"


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """No file of this process may grow beyond that: what a full disk does, with another number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _tensors(path: Path) -> None:
    from stillhouse.records.tensors import save_tensors

    save_tensors(path, {"weight": torch.zeros(4096)}, {})


WRITERS: dict[str, Callable[[Path], None]] = {
    "text": lambda path: write_text(path, "a" * 9999),
    "lines": lambda path: Lines(path).append({"text": "a" * 9999}),
    "tensors": _tensors,
    "checkpoint": lambda path: Checkpoint(path, "x").save({"weight": torch.zeros(4096)}),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_who_cannot_write_names_the_file_and_keeps_what_was_there(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("before\n")
    with files_at_most(2048), pytest.raises(OSError, match="file") as found:
        WRITERS[kind](path)
    assert (found.value.errno, found.value.filename) == (errno.EFBIG, str(path))
    assert "ulimit -f" in str(fault_of(found.value))
    assert path.read_text().startswith("before\n")
    assert Lines(path).read() == []
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_checkpoint_makes_no_directory_anew(tmp_path: Path) -> None:
    """One that was removed amid a run would come back without what the run is known by."""
    path = tmp_path / "removed" / "checkpoint.pt"
    for write in (Checkpoint(path, "x").save, Lines(path).append):
        with pytest.raises(FileNotFoundError) as found:
            write({})
        assert str(path) in str(fault_of(found.value))
        assert "removed while the command ran" in str(fault_of(found.value))


class Killed(Dataset[int]):
    """Its reading ends as the system ends a process where memory is short."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, row: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return row


def _nested(depth: int) -> int:
    return _nested(depth + 1)


REAL = {
    "a loader": (lambda: list(DataLoader(Killed(), num_workers=1)), "a loader process (number"),
    "memory": (lambda: torch.empty(10**15), "memory is short (4000000000000000 bytes"),
    "memory of numpy": (lambda: np.empty(10**18), "memory is short"),
    "nesting": (lambda: _nested(0), "nested too deep"),
}


@pytest.mark.parametrize("case", REAL)
def test_the_words_are_those_of_the_installed_packages(case: str) -> None:
    cause, expected = REAL[case]
    with pytest.raises(SystemFault) as found, system_faults():
        cause()
    assert expected in str(found.value)
