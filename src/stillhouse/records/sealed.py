"""Sealed files: tensors on disk, each file named by its place and by its checksum.

``view-0003-row-00004096-<sha256, 16 digits>.safetensors``. What has such a name is whole: it was
written beside and renamed. None is ever changed, so no index can disagree with the files.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from stillhouse.errors import StillhouseError
from stillhouse.records.checked import unreadable
from stillhouse.records.files import replacing

DIGITS = 16
"""Hexadecimal digits of a checksum in a name: 64 bits."""
SUFFIX = ".safetensors"

Place = tuple[int, int]
"""What a file holds, as two numbers of its name: (view, first row), (first row, rows), ..."""


class SealedNames:
    """The names of the sealed files of one kind.

    Args:
        pattern: of names before the checksum, with two numbers: ``view-{:04d}-row-{:08d}``.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        before, between, after = map(re.escape, re.split(r"\{[^}]*\}", pattern))
        self._name = re.compile(
            rf"{before}(\d+){between}(\d+){after}-[0-9a-f]{{{DIGITS}}}{re.escape(SUFFIX)}"
        )

    def place(self, name: str) -> Place | None:
        """The place that a name says; None where it is no name of this kind.

        >>> files = SealedNames("rows-{:08d}-{}")
        >>> files.place("rows-00000100-50-e3b0c44298fc1c14.safetensors"), files.place("notes.txt")
        ((100, 50), None)
        """
        match = self._name.fullmatch(name)
        return None if match is None else (int(match[1]), int(match[2]))

    def start(self, place: Place) -> str:
        """How the name of a place begins, before the checksum."""
        return f"{self._pattern.format(*place)}-"


def sealed_content(
    names: SealedNames,
    place: Place,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, str] | None = None,
) -> tuple[str, bytes]:
    """The name and the bytes of a sealed file: the same tensors and words give the same ones."""
    plain = {key: value.cpu().contiguous() for key, value in tensors.items()}
    content = save(plain, metadata=None if about is None else dict(about))
    digest = hashlib.sha256(content).hexdigest()[:DIGITS]
    return f"{names.start(place)}{digest}{SUFFIX}", content


class SealedFiles(SealedNames):
    """The files of one kind in a folder.

    Args:
        folder: may hold other files, too.
        pattern: of names, as of `SealedNames`.
        error: the class of what is raised.
        again: what to do about a damaged file, such as 'delete this file'.
    """

    def __init__(
        self, folder: Path, pattern: str, *, error: type[StillhouseError], again: str
    ) -> None:
        super().__init__(pattern)
        self.folder = folder
        self._error, self._again = error, again

    def present(self) -> dict[Place, Path]:
        """The files that are there, in the order of their names."""
        known = ((self.place(path.name), path) for path in sorted(self.folder.glob(f"*{SUFFIX}")))
        return {place: path for place, path in known if place is not None}

    def there(self, place: Place) -> bool:
        """Whether the file of a place is there."""
        return any(
            self.place(path.name) == place for path in self.folder.glob(f"{self.start(place)}*")
        )

    def write(
        self, place: Place, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None
    ) -> int:
        """Write a file whole, with some words about it; gives its size in bytes."""
        name, content = sealed_content(self, place, tensors, about)
        with replacing(self.folder / name) as fresh:
            fresh.write_bytes(content)
        return len(content)

    def check(self, path: Path) -> None:
        """Compare the content of a file with the checksum in its name, without keeping it.

        Raises:
            StillhouseError: (of ``error``) it cannot be read, or was changed.
        """
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(path, error, self._error, self._again) from None
        self._compare(path, digest)

    def read(self, path: Path) -> dict[str, Tensor]:
        """The tensors of one file, checked.

        Raises:
            StillhouseError: (of ``error``) it cannot be read, or was changed.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise unreadable(path, error, self._error, self._again) from error
        self._compare(path, hashlib.sha256(content).hexdigest())
        try:
            return load(content)
        except SafetensorError as error:  # its checksum fits: somebody sealed what is no such file
            raise self._error(f"{path} is damaged ({error}); {self._again}") from None

    def _compare(self, path: Path, digest: str) -> None:
        if self.place(path.name) is None or not path.stem.endswith(f"-{digest[:DIGITS]}"):
            raise self._error(
                f"{path} is damaged: its content does not fit the checksum in its name; "
                f"{self._again}"
            )


def mapped(path: Path) -> dict[str, Tensor]:
    """Tensors over the mapped file, unchecked: what is not asked for is not read."""
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def words_about(path: Path) -> dict[str, str]:
    """What was written with the tensors of a file."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})
