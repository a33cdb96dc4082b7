"""Places on object stores: a folder or an object at an fsspec address, used like a path.

Only what such stores can do is asked of them: an object is put whole, got whole or from its front,
listed, removed, and *created*: put on condition that nothing has its name yet. What fails on the
way (a dropped connection, an answer that does not come) is tried again; then it is a `SystemFault`.
"""

import contextlib
import errno
import fnmatch
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from stillhouse.errors import MissingExtra, RecipeError, SystemFault
from stillhouse.records.local_copies import LocalCopies

T = TypeVar("T")

TRIES = 5
FIRST_PAUSE = 0.5
"""Seconds before the second try; each further one waits twice as long: 7.5 s in all."""
FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What a store says that is no accident of the way there."""

VERSIONS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "updated", "created")
"""What packages of stores call the state of an object; the first that is there is taken."""
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems say that know no second name of a file."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://")


@dataclass(frozen=True)
class Remote:
    """A folder or an object of a store.

    Args:
        address: such as ``s3://bucket/caches/a``. How the store is reached (keys, endpoint) is
            said where its package looks for it: AWS_* and FSSPEC_* variables, fsspec's files.
        copies: where what is read again and again is kept on this machine.
        pause: waits so many seconds between two tries.
    """

    address: str
    copies: LocalCopies
    pause: Callable[[float], None] = time.sleep

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> "Remote":
        return replace(self, address=f"{self.address.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(self._key).name

    @property
    def parent(self) -> "Remote":
        """The folder that it is in."""
        return replace(self, address=self.address.rstrip("/").rpartition("/")[0])

    def exists(self) -> bool:
        """Whether there is an object of this name."""
        try:
            return bool(self._tried("read", lambda store: store.info(self._key)))
        except FileNotFoundError:
            return False

    def sizes(self, start: str = "") -> dict[str, int]:
        """Bytes of all objects below it, by their names from here, of those that begin so."""

        def listed(store: Any) -> dict[str, Any]:
            found: dict[str, Any] = store.find(self._key, detail=True, prefix=start)
            return found

        try:
            found = self._tried("listed", listed)
        except FileNotFoundError:
            return {}
        names = {name.lstrip("/"): int(about["size"] or 0) for name, about in found.items()}
        key = self._key.strip("/") + "/"
        return {
            name.removeprefix(key): size
            for name, size in sorted(names.items())
            if name.startswith(f"{key}{start}")  # not the folder itself, which s3fs may name
        }

    def glob(self, pattern: str) -> Iterator["Remote"]:
        """The objects below it whose names fit, part by part; folders are none."""
        parts = pattern.split("/")
        for name in self.sizes():
            own = name.split("/")
            if len(own) == len(parts) and all(map(fnmatch.fnmatchcase, own, parts)):
                yield self / name

    def read_bytes(self) -> bytes:
        """The whole object. Raises FileNotFoundError, SystemFault."""
        return bytes(self._tried("read", lambda store: store.cat_file(self._key)))

    def copy_to(self, path: Path) -> None:
        """Write the object into a file, part by part. Raises FileNotFoundError, SystemFault."""
        self._tried("read", lambda store: store.get_file(self._key, str(path)))

    def version(self) -> tuple[int, str]:
        """Its bytes, and what the store calls this state of it; nothing where it has no word.

        Raises FileNotFoundError, SystemFault.
        """
        about = self._tried("read", lambda store: store.info(self._key))
        told = [str(about[key]) for key in VERSIONS if about.get(key) is not None]
        return int(about.get("size") or 0), " ".join(told[:1])

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole object as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        """Put an object in whole, in the place of what has its name."""
        self._put(lambda store: store.pipe_file(self._key, content))

    def put_once(self, content: bytes) -> None:
        """Put an object in unless something has its name: for names that say the content."""
        if not self.exists():
            with contextlib.suppress(FileExistsError):
                self._put(lambda store: store.pipe_file(self._key, content, mode="create"))

    def create(self, content: bytes) -> bool:
        """Put an object in unless something has its name; gives whether ours is there now.

        Atomic where the store and its package know puts on condition (S3 and memory do): of many
        who create, one is told True. Elsewhere several may be, which costs work done twice. It is
        read back, since the answer to a put that was done may be lost.
        """
        self.put_once(content)
        return self.read_bytes() == content

    def unlink(self) -> None:
        """Remove an object; one that is gone is gone."""
        try:
            self._tried("removed", lambda store: store.rm_file(self._key))
        except FileNotFoundError:
            return

    @property
    def _key(self) -> str:
        return str(self._store()[1])

    def _store(self) -> tuple[Any, str]:
        return opened(self.address)

    def _put(self, call: Callable[[Any], Any]) -> None:
        try:
            self._tried("written", call)
        except FileNotFoundError as error:
            raise SystemFault(
                f"{self} cannot be written ({_said(error)}): make it first"
            ) from error

    def _tried(self, what: str, call: Callable[[Any], T]) -> T:
        store = self._store()[0]
        for left in range(TRIES - 1, -1, -1):
            try:
                store.invalidate_cache()  # what was listed may be old: others write there, too
                return call(store)
            except PermissionError as error:
                raise SystemFault(f"{self} may not be {what} by you ({_said(error)})") from error
            except FINAL:
                raise
            except Exception as error:  # each store's package has errors of its own
                if not left:
                    raise SystemFault(
                        f"{self} cannot be {what}, its store or the network fails after {TRIES} "
                        f"tries ({_said(error)}); what was finished is kept"
                    ) from error
            self.pause(FIRST_PAUSE * 2 ** (TRIES - 1 - left))
        raise AssertionError("unreachable")


Location = Path | Remote
"""Where something is: here, or on an object store."""


def is_address(text: str) -> bool:
    """Whether a text is an fsspec address and no path.

    >>> is_address("s3://bucket/a"), is_address("runs/a"), is_address("C:/runs")
    (True, False, False)
    """
    return _ADDRESS.match(text) is not None


def located(text: str | os.PathLike[str], copies: LocalCopies) -> Location:
    """The place that a text names: a path, also written as ``file://``, or an address.

    >>> located("file:///tmp/a", LocalCopies(Path("copies"), 1)).as_posix()
    '/tmp/a'
    """
    given = os.fspath(text)
    if given.startswith("file://"):
        return Path(given.removeprefix("file://"))
    return Remote(given.rstrip("/"), copies) if is_address(given) else Path(given)


def opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and its key in there.

    Raises:
        MissingExtra: fsspec is not installed.
        RecipeError: no such kind of address, or its package is not installed, or cannot begin.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtra(address, "fsspec", "store") from None
    try:
        store, key = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise RecipeError(address, [f"its kind of store cannot be used here: {error}"]) from None
    return store, str(key)


def create_file(place: Location, content: bytes) -> bool:
    """Write a file unless something has its name; gives whether ours is there now. Atomic.

    Raises:
        OSError, SystemFault: it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [create_file(Path(folder) / "claim", content) for content in (b"1", b"2")]
    [True, False]
    """
    if isinstance(place, Remote):
        return place.create(content)
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        fresh.write_bytes(content)
        try:
            os.link(fresh, place)  # with its content at once, and never over another
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with place.open("xb") as file:
                file.write(content)
    except FileExistsError:
        return False
    finally:
        fresh.unlink(missing_ok=True)
    return True


def try_to_write(folder: Remote) -> None:
    """Make sure that objects can be put below an address; leaves nothing behind.

    Raises:
        SystemFault: they cannot, or the store cannot be reached.
    """
    trial = folder / f".trial-{secrets.token_hex(4)}"
    trial.write_bytes(b"")
    trial.unlink()


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
