"""A directory for one purpose: taken by the first that asks, resumed by the same, else refused.

What the directory is for stands in one file of it: the facts that decide its content. Whoever asks
for other facts is told the first difference; whoever comes while it is in use waits or is refused.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stillhouse.errors import RunError, StillhouseError
from stillhouse.faults import fault_of
from stillhouse.records.checked import (
    read_checked,
    read_checked_yaml,
    write_checked,
    write_checked_yaml,
)
from stillhouse.records.files import finite, is_junk, remove_unfinished
from stillhouse.records.fingerprint import first_difference
from stillhouse.records.locks import lock_on

LOCK = ".lock"
DIFFERS = "{directory} holds another {what}: it differs in {difference}"


@dataclass(frozen=True)
class Claim:
    """How directories of one kind are claimed.

    Args:
        what: it holds, such as 'run'.
        file: the name of the file with the facts, ``.yaml`` or ``.json``.
        elsewhere: what to do where a directory cannot be had, such as 'choose another (-o DIR)'.
        error: the class of what is raised.
        decisive: the part of the facts that must stay as it is; all of them by default.
        differs: how a difference is said; may use directory, what, difference, key, there, asked.
    """

    what: str
    file: str
    elsewhere: str
    error: type[StillhouseError] = RunError
    decisive: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    differs: str = DIFFERS

    def begun(self, directory: Path, facts: Mapping[str, Any] | None = None) -> bool:
        """Whether the directory has been claimed for these facts before; writes nothing.

        Args:
            directory: may not exist.
            facts: plain data; None: any that it was claimed for.

        Raises:
            StillhouseError: (of ``error``) a file is in the way, it holds somebody else's files, or
                it was claimed for other facts.
        """
        nearest = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise self.error(f"{nearest} is a file; {self.elsewhere}")
        if (directory / self.file).exists():
            if facts is not None:
                self.compare(directory, facts, self.read(directory))
            return True
        others = [path.name for path in directory.glob("*") if not is_junk(path.name)]
        if others:
            raise self.error(
                f"{directory} is no directory of a {self.what}: it holds other files "
                f"({min(others)}) and no {self.file}; {self.elsewhere}, or give an empty one"
            )
        return False

    @contextmanager
    def hold(
        self,
        directory: Path,
        facts: Mapping[str, Any] | None = None,
        *,
        waiting: Callable[[], None] | None = None,
    ) -> Iterator[bool]:
        """Have the directory for oneself; gives whether it was begun before.

        Args:
            directory: made where it does not exist.
            facts: written at the first claim; None: whoever holds it writes the file.
            waiting: is called when another process has it, and then waited for; None: refuse.

        Raises:
            StillhouseError: as of `begun`; it is in use, or cannot be written to.
        """
        self.begun(directory, facts)  # before anything is written
        lock = lock_on(directory / LOCK)
        with self.writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            self._acquire(lock, directory, waiting)
        try:
            remove_unfinished(directory)
            begun = self.begun(directory, facts)  # another process may have begun it meanwhile
            if facts is not None and not begun:
                with self.writing(directory):
                    self._write(directory / self.file, facts)
            yield begun
            if facts is not None and not (directory / self.file).exists():
                raise self.error(
                    f"{directory} was removed while the {self.what} went on; what is there now is "
                    "not whole: delete it, and the same command makes it again"
                )
        finally:
            lock.release()

    def read(self, directory: Path) -> dict[str, Any]:
        """The facts that a directory was claimed for.

        Raises:
            StillhouseError: (of ``error``) it does not exist, was not claimed, or is damaged.
        """
        path = directory / self.file
        if not path.is_file():
            said = f"is no directory of a {self.what} (it has no {self.file})"
            if not directory.is_dir():
                said = "is a file, no directory" if directory.exists() else "does not exist"
            raise self.error(
                f"{directory} {said}; give one that a {self.what} has written (-o DIR)"
            )
        read = read_checked_yaml if self._is_yaml else read_checked
        return read(path, self.error, f"delete {directory}, or {self.elsewhere}")

    @contextmanager
    def writing(self, directory: object) -> Iterator[None]:
        """Say what the system has against writing there (it is read-only, full), and where else."""
        try:
            yield
        except OSError as error:
            error.filename = error.filename or str(directory)  # of an open file none is named
            raise self.error(f"{fault_of(error)}; {self.elsewhere}") from error

    @property
    def _is_yaml(self) -> bool:
        return self.file.endswith(".yaml")

    def plain(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Facts as they are after they were written and read."""
        value = dict(facts) if self._is_yaml else finite(facts)
        plain: dict[str, Any] = json.loads(json.dumps(value, default=str))
        return plain

    def _write(self, path: Path, facts: Mapping[str, Any]) -> None:
        write = write_checked_yaml if self._is_yaml else write_checked
        write(path, self.plain(facts))

    def compare(
        self, directory: object, facts: Mapping[str, Any], claimed: Mapping[str, Any]
    ) -> None:
        """See that a directory was claimed for the same facts.

        Raises:
            StillhouseError: (of ``error``) it was not; says the first difference.
        """
        asked, there = self.decisive(self.plain(facts)), self.decisive(claimed)
        found = first_difference(asked, there)
        if found is not None:
            told = {"directory": directory, "what": self.what, "difference": found}
            said = self.differs.format(**told, **found._asdict())
            raise self.error(f"{said}; {self.elsewhere}, or ask for the same to go on with it")

    def _acquire(self, lock: FileLock, directory: Path, waiting: Callable[[], None] | None) -> None:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting is None:
                raise self.error(
                    f"{directory} is in use by a {self.what} that is going on; wait for it, or "
                    f"{self.elsewhere}"
                ) from None
            waiting()
            lock.acquire()
