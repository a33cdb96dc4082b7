"""Leases: who records which shards of a teacher cache, among workers that know nothing of others.

A worker takes a lease on the shards of one place before it runs the teacher for them, by creating a
file that says who it is and until when; of many who try, one succeeds. It renews the lease while it
works and gives it back when the shards are there. A lease that ran out, or whose process of this
machine has ended, is taken over by creating its next generation, so that of many who find it dead
again one succeeds. A worker that was only slow does no harm: both write the same shards.
"""

import contextlib
import json
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stillhouse.records.files import is_running, this_process
from stillhouse.records.remote import Location, Remote, create_file

FOLDER = ".leases"
LASTS = 300.0
"""Seconds for which a lease is taken; it is renewed when a quarter of them is over. Clocks of
machines that record together may differ by less."""


@dataclass
class Leases:
    """The leases of one teacher cache.

    Args:
        directory: of the teacher cache.
        now: the time in seconds, alike on all machines.
        lasts: for how many seconds a lease is taken.
        pause: waits so many seconds for the others.
    """

    directory: Location
    now: Callable[[], float] = time.time
    lasts: float = LASTS
    pause: Callable[[float], None] = time.sleep
    _held: dict[str, tuple[Location, float]] = field(default_factory=dict)
    _unread: dict[str, float] = field(default_factory=dict)

    def take(self, name: str) -> bool:
        """Whether the lease of this name is ours now."""
        generation = self._highest().get(name, -1)
        if generation >= 0 and self._is_live(f"{name}.{generation}"):
            return False
        place = self.directory / FOLDER / f"{name}.{generation + 1}"
        if not create_file(place, self._content()):
            return False
        self._held[name] = place, self.now()
        return True

    def renew(self) -> None:
        """Say that this worker goes on, if it is time to."""
        for name, (place, since) in self._held.items():
            if self.now() - since >= self.lasts / 4:
                place.write_bytes(self._content())
                self._held[name] = place, self.now()

    def give_back(self, name: str) -> None:
        """Leave the lease of this name to others."""
        place, _ = self._held.pop(name)
        with contextlib.suppress(FileNotFoundError):
            place.unlink()

    def live(self) -> list[str]:
        """The names of leases that somebody holds."""
        return [name for name, last in self._highest().items() if self._is_live(f"{name}.{last}")]

    def remove_dead(self) -> None:
        """Remove what workers left that ended without a word, once nobody holds a lease."""
        if self.live():
            return
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                (self.directory / FOLDER / name).unlink()
        if not isinstance(self.directory, Remote):
            with contextlib.suppress(OSError):  # it is not there, or another has just begun
                (self.directory / FOLDER).rmdir()

    def _names(self) -> list[str]:
        folder = self.directory / FOLDER
        if isinstance(folder, Remote):
            return [name for name in folder.sizes() if "." in name]
        return [path.name for path in folder.glob("[!.]*.*")]

    def _highest(self) -> dict[str, int]:
        """The last generation of each name."""
        highest: dict[str, int] = {}
        for file in self._names():
            name, _, generation = file.rpartition(".")
            if generation.isdecimal():
                highest[name] = max(int(generation), highest.get(name, -1))
        return highest

    def _is_live(self, file: str) -> bool:
        try:
            lease = json.loads((self.directory / FOLDER / file).read_bytes())
            until, host, process = lease["until"], lease["host"], lease["process"]
            if self.now() >= float(until):
                return False
            return host != socket.gethostname() or is_running(int(process[0]), str(process[1]))
        except FileNotFoundError:
            return False
        except (ValueError, TypeError, KeyError, IndexError):  # torn, or somebody else's file
            return self.now() - self._unread.setdefault(file, self.now()) < self.lasts

    def _content(self) -> bytes:
        lease: dict[str, Any] = {
            "host": socket.gethostname(),
            "process": this_process(),
            "until": self.now() + self.lasts,
            "is": secrets.token_hex(8),  # no two are alike, so whoever reads it back knows its own
        }
        return json.dumps(lease).encode()
