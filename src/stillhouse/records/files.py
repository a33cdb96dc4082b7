"""Files that are either whole or not there: written beside, flushed, then renamed."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.faults import naming

if TYPE_CHECKING:  # what only reads numbers need not wait for torch
    from torch import Tensor

Reading = float | list[float | None] | None
"""A number or list as JSON holds it: None stands for what is not finite."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; it takes the place of ``path`` when the block ends well.

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
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with naming(path, fresh):
            yield fresh
            with fresh.open("rb+") as written:  # Windows flushes only what is open for writing
                os.fsync(written.fileno())
            os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed writer left; call it while no other one writes there."""
    for unfinished in folder.glob(".*.part"):
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole; nan and inf become null, which every reader understands."""
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


def save_tensors(path: Path, state: "Mapping[str, Tensor]", metadata: Mapping[str, str]) -> None:
    """A state dict as safetensors; tied tensors are written once per name, as it lists them.

    ``load_state_dict(load_file(path), strict=True)`` on the bare module takes it.
    """
    from safetensors.torch import save_file

    plain = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    # safetensors writes its keys in any order: under one key, equal products are equal files.
    about = {"stillhouse": json.dumps(dict(metadata), sort_keys=True)}
    with replacing(path) as fresh:
        save_file(plain, fresh, metadata=about)


class Lines:
    """A file of JSON lines that survives a kill: a torn last line is dropped when it is read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = Lines(Path(folder) / "metrics.jsonl")
    ...     lines.append({"epoch": 1}); lines.append({"epoch": 2})
    ...     lines.keep(lambda line: line["epoch"] <= 1)
    ...     lines.read()
    [{'epoch': 1}]
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, value: Mapping[str, Any]) -> None:
        """Add one line; after a torn one, on a line of its own."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
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
            with contextlib.suppress(ValueError):  # torn, perhaps inside a character
                lines.append(json.loads(text))
        return lines

    def keep(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Rewrite the file with the lines that ``wanted`` accepts."""
        kept = [line for line in self.read() if wanted(line)]
        write_text(self.path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))
