"""Checked files: what we write and read again carries the checksum of its content in itself.

    JSON               a last key ``checksum``, of all other keys, however they are spaced
    YAML               a last comment ``# checksum: ...``, of the text above it
    any other file     a last line ``stillhouse checksum ...``, of the bytes before it

(safetensors have theirs in their metadata, see `stillhouse.records.tensors`; files of a store have
theirs in their name, see `stillhouse.records.sealed`). Whoever reads such a file gets what was
written, or an error that names the file and says what to do: no flipped bit, no cut and no edit
becomes a number. A checksum is a guard against accidents, not against an attacker.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from stillhouse.errors import StillhouseError
from stillhouse.faults import NOT_ALLOWED, UNREACHED, fault_of
from stillhouse.records.files import finite, write_text

CHECKSUM = "checksum"
"""The key of a JSON object that holds it."""
EDITED = "its content does not fit its checksum, so it was damaged or edited"
WITHOUT = "it has no checksum, so it was cut off or edited, or is of an old version"

_COMMENT = re.compile(r"# checksum: ([0-9a-f]{64})(?: .*)?\n?\Z")
_COPY = "(to change something, change a copy, without this line)"
_LINE = b"\nstillhouse checksum %b\n"
_LENGTH = len(_LINE % b"") + 64

ErrorKind = type[StillhouseError]


class Readable(Protocol):
    """A path, or a place that is read as one."""

    def read_text(self, encoding: str) -> str:
        """All of it."""


def checksum(value: Mapping[str, Any]) -> str:
    """The sha256 of plain data as JSON, whatever the order of its keys.

    >>> checksum({"b": 1, "a": [None, 0.5]})[:8]
    '8d2994eb'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_checked(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object whole, with its checksum; nan and inf become null.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.json"
    ...     write_checked(path, {"epochs": 3})
    ...     before = read_checked(path, StillhouseError, "delete it")
    ...     _ = path.write_text(path.read_text().replace("3,", "4,"))
    ...     read_checked(path, StillhouseError, "delete it")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    stillhouse.errors.StillhouseError: ...a.json is damaged: its content does not fit its ...
    """
    write_text(path, checked_text(value))


def checked_text(value: Mapping[str, Any]) -> str:
    """A JSON object as `write_checked` writes it."""
    plain = json.loads(json.dumps(finite(value)))
    plain.pop(CHECKSUM, None)
    content = {**plain, CHECKSUM: checksum(plain)}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # legal in JSON, not in UTF-8
        text = json.dumps(content, indent=1) + "\n"
    return text


def read_checked(path: Readable, error: ErrorKind, again: str) -> dict[str, Any]:
    """What `write_checked` wrote.

    Args:
        path: of the file.
        error: the class of what is raised.
        again: what to do about a damaged file, such as 'delete it'.

    Raises:
        StillhouseError: (of ``error``) it cannot be read, or is not what was written.
    """
    return without_checksum(path, read_object(path, error, again), error, again)


def read_object(path: Readable, error: ErrorKind, again: str) -> dict[str, Any]:
    """The JSON object of a file, its checksum with it and not compared.

    Raises:
        StillhouseError: (of ``error``) it is no such file.
    """
    try:
        found = json.loads(_text(path, error, again))
    except (ValueError, RecursionError) as wrong:
        why = f"it cannot be read as JSON ({_line(wrong)})"
        raise damaged(path, why, error, again) from None
    if not isinstance(found, dict):
        why = f"it holds a JSON {type(found).__name__}, no object"
        raise damaged(path, why, error, again)
    return found


def without_checksum(
    path: Readable, found: dict[str, Any], error: ErrorKind, again: str
) -> dict[str, Any]:
    """An object that was read, its checksum compared and taken off.

    Raises:
        StillhouseError: (of ``error``) it has none, or another content.
    """
    rest = {key: value for key, value in found.items() if key != CHECKSUM}
    if CHECKSUM not in found:
        raise damaged(path, WITHOUT, error, again)
    if found[CHECKSUM] != checksum(rest):
        raise damaged(path, EDITED, error, again)
    return rest


def write_checked_yaml(path: Path, value: Mapping[str, Any]) -> None:
    """Write plain data as YAML that people read, whole, with its checksum in a comment."""
    write_checked_text(path, yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True))


def write_checked_text(path: Path, text: str) -> None:
    """Write YAML that is text already, whole, with its checksum in a comment."""
    write_text(path, f"{text}# checksum: {_sha256(text)} {_COPY}\n")


def fits_checksum(text: str) -> bool | None:
    """Whether YAML is as it was written; None where no checksum stands in its last line.

    >>> print(fits_checksum("epochs: 3"), fits_checksum("# checksum: " + 64 * "0"))
    None False
    """
    found = _COMMENT.search(text)
    return None if found is None else found[1] == _sha256(text[: found.start()])


def read_checked_yaml(path: Path, error: ErrorKind, again: str) -> dict[str, Any]:
    """What `write_checked_yaml` wrote. Raises like `read_checked`."""
    try:
        text = read_checked_text(path, error, again)
        value = yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as wrong:  # sealed by somebody else
        raise damaged(path, _line(wrong), error, again) from None
    if not isinstance(value, dict):
        raise damaged(path, "it is no mapping", error, again)
    return value


def read_checked_text(path: Path, error: ErrorKind, again: str) -> str:
    """What `write_checked_text` wrote, with its last line. Raises like `read_checked`."""
    text = _text(path, error, again)
    fits = fits_checksum(text)
    if not fits:
        raise damaged(path, WITHOUT if fits is None else EDITED, error, again)
    return text


def add_checksum(path: Path) -> None:
    """Put the checksum of a file that is being written at its end.

    Readers that begin at the front, or look for the directory of a zip, do not see it.
    """
    digest = _digest(path)
    with path.open("ab") as file:
        file.write(_LINE % digest.encode())


def compare_checksum(path: Path, error: ErrorKind, again: str) -> None:
    """See that a file is what `add_checksum` left.

    Raises:
        StillhouseError: (of ``error``) it cannot be read, has no checksum, or another content.
    """
    try:
        size = max(path.stat().st_size - _LENGTH, 0)
        with path.open("rb") as file:
            file.seek(size)
            last = file.read()
        digest = _digest(path, size)
    except OSError as wrong:
        raise unreadable(path, wrong, error, again) from None
    before, _, after = (_LINE % b"|").partition(b"|")
    if not (len(last) == _LENGTH and last.startswith(before) and last.endswith(after)):
        raise damaged(path, WITHOUT, error, again)
    if last != _LINE % digest.encode():
        raise damaged(path, EDITED, error, again)


def checksums_of(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """The sha256 of some files of a directory, by name."""
    return {name: _digest(directory / name) for name in names}


def missing_files(
    directory: Path, checksums: Mapping[str, str], error: ErrorKind, again: str
) -> list[str]:
    """Compare the files of a directory with their checksums; gives the names that are not there.

    Raises:
        StillhouseError: (of ``error``) one cannot be read, or has another content.
    """
    missing = []
    for name, wanted in checksums.items():
        path = directory / name
        if not path.is_file():
            missing.append(name)
            continue
        try:
            found = _digest(path)
        except OSError as wrong:
            raise unreadable(path, wrong, error, again) from None
        if found != wanted:
            raise damaged(path, EDITED, error, again)
    return missing


def damaged(path: Readable, why: str, error: ErrorKind, again: str) -> StillhouseError:
    """The error of a file that is not what was written."""
    return error(f"{path} is damaged: {why}; {again}")


def unreadable(path: Readable, wrong: OSError, error: ErrorKind, again: str) -> StillhouseError:
    """The error of a file that the system does not give; it is not damaged where it is hidden."""
    if wrong.errno in NOT_ALLOWED + UNREACHED:
        return error(str(fault_of(OSError(wrong.errno, wrong.strerror, str(path)))))
    return error(f"{path} cannot be read ({wrong.strerror or wrong}); {again}")


def _text(path: Readable, error: ErrorKind, again: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as wrong:
        raise unreadable(path, wrong, error, again) from None
    except ValueError:
        raise damaged(path, "it holds bytes that are no text", error, again) from None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _digest(path: Path, size: int | None = None) -> str:
    """The sha256 of the first bytes of a file; of all where no size is said."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size if size is None else size
        while left and (piece := file.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def _line(wrong: Exception) -> str:
    """What an exception says, in one line."""
    return " ".join(str(wrong).split()) or type(wrong).__name__
