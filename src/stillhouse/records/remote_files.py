"""Sealed files on an object store: written once, read through copies on this machine."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from stillhouse.errors import StillhouseError
from stillhouse.records.remote import TRIES, Remote
from stillhouse.records.sealed import Place, SealedNames, mapped, sealed_content


class RemoteFiles(SealedNames):
    """The sealed files of one kind in a folder of a store; as `SealedFiles`, but for where.

    Args:
        folder: may hold other objects, too.
        pattern, error, again: as of `SealedFiles`.
    """

    def __init__(
        self, folder: Remote, pattern: str, *, error: type[StillhouseError], again: str
    ) -> None:
        super().__init__(pattern)
        self.folder = folder
        self._error, self._again = error, again

    def sizes(self) -> dict[Place, tuple[str, int]]:
        """The name and bytes of each file that is there; of two of one place the first."""
        found: dict[Place, tuple[str, int]] = {}
        for name, size in self.folder.sizes().items():
            place = self.place(name)
            if place is not None:
                found.setdefault(place, (name, size))
        return found

    def there(self, place: Place) -> bool:
        """Whether the file of a place is there."""
        start = self.start(place)
        return any(self.place(name) == place for name in self.folder.sizes(start))

    def write(
        self, place: Place, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None
    ) -> int:
        """Put a file in once; one that is there has the same content. Gives its size in bytes."""
        name, content = sealed_content(self, place, tensors, about)
        (self.folder / name).put_once(content)
        return len(content)

    def mapped(self, name: str, size: int) -> tuple[Path, dict[str, Tensor]]:
        """The copy of a file on this machine, compared with its checksum, and its tensors.

        Raises:
            StillhouseError: (of ``error``) it is gone, or what the store gives is damaged.
            SystemFault: the store cannot be read.
        """
        source = self.folder / name

        def read(path: Path) -> None:
            try:
                path.write_bytes(source.read_bytes())
            except FileNotFoundError:
                raise self._error(
                    f"{source} was removed while it is in use; run again to cache it again"
                ) from None

        for _ in range(TRIES):  # an answer may be cut short without a word
            path = source.copies.fetch(name, size, read)
            if path is not None:
                with contextlib.suppress(FileNotFoundError):  # another process needed the room
                    return path, mapped(path)
        raise self._error(
            f"{source} is damaged: its content does not fit the checksum in its name; {self._again}"
        )
