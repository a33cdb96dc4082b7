"""A teacher cache on disk: what made it, and the signals of a role that it holds.

    teacher-cache-.../
      teacher-cache.json                  identity: weights, data, view seed, precision, ...
      logits-float32/part.json        tap, shape, storage, samples per shard
      logits-float32/view-0000-row-00000000-1f0c....safetensors

Views and signals can be added later; the identity never changes. On an object store (see
`remote_shards`) the names are the same, and each view has a manifest that is written last.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from stillhouse.cache.leases import Leases
from stillhouse.cache.remote_shards import RemoteShards
from stillhouse.cache.shards import Shards
from stillhouse.cache.storage import LOSSLESS, Storage, check_copies
from stillhouse.errors import CacheError
from stillhouse.records.checked import checked_text, read_checked
from stillhouse.records.claim import Claim
from stillhouse.records.files import remove_unfinished
from stillhouse.records.fingerprint import first_difference
from stillhouse.records.names import slug
from stillhouse.records.remote import Location, Remote, create_file
from stillhouse.records.writable import check_writable, is_writable

MANIFEST = "teacher-cache.json"
PART = "part.json"
DIFFERS = "{directory} was cached with {key} {there!r}, this run has {asked!r}"
HEADER = 4096
"""Bytes that a shard takes beside its values, at most."""
ELSEWHERE = "choose another directory (cache.directory)"
CLAIM = Claim(
    "teacher cache",
    MANIFEST,
    f"{ELSEWHERE}, or run the teacher live (cache: never)",
    error=CacheError,
    differs=DIFFERS,
)


@dataclass(frozen=True)
class TeacherCache:
    """Signals of a role for every sample and view, checked.

    Args:
        directory: its files.
        views: how many views are there (0..views-1).
        parts: the shards of each cached part.
        shapes: of parts that are only known by shape, for bridges that are sized by them.
    """

    directory: Location
    views: int
    parts: Mapping[str, Shards]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Room that it takes where it is, all views."""
        return sum(shards.bytes for shards in self.parts.values())

    @property
    def seconds(self) -> float:
        """What the teacher cache of all that is there has taken, over all runs."""
        return sum(shards.seconds() for shards in self.parts.values())


def check_directory(
    directory: Location, identity: Mapping[str, Any] | None = None, *, unknown: Collection[str] = ()
) -> None:
    """Make sure that a directory is, or can become, the teacher cache of an identity.

    Args:
        directory: may exist.
        identity: None: not known yet.
        unknown: fields of it that are not known yet.

    Raises:
        CacheError: it is a file, holds other files, lost what says what made it, or was made from
            something else (says which field differs).
    """
    shards = any(directory.glob("*/view-*-row-*"))
    others = list(directory.sizes()) if isinstance(directory, Remote) else []
    known = (directory / MANIFEST).exists()  # last: it is there before all others
    if not known and shards:
        raise CacheError(
            f"{directory} holds shards but no {MANIFEST}, so nothing says what made them; delete "
            "it, or choose another (cache.directory)"
        )
    if known and identity is not None and unknown:
        there = _identity(directory)
        identity = {**identity, **{name: there.get(name) for name in unknown}}
    if not isinstance(directory, Remote):
        CLAIM.begun(directory, identity)
    elif known and identity is not None:
        CLAIM.compare(directory, identity, _identity(directory))
    elif not known and others:
        raise CacheError(
            f"{directory} is no address of a teacher cache: it holds other objects ({others[0]}) "
            f"and no {MANIFEST}; {ELSEWHERE}, or give an empty one"
        )


@contextmanager
def writing_alone(
    directory: Location, identity: Mapping[str, Any], say: Callable[[str], None]
) -> Iterator[None]:
    """Have a teacher cache for oneself; other runs that want it wait and then find its shards.

    Another user's, which may only be read, is not held: a shard that is there never changes. One
    on an object store is only begun, since such stores have no locks: there leases share the work.

    Raises:
        CacheError: as of `check_directory`, or it cannot be written to.
    """
    check_directory(directory, identity)
    if isinstance(directory, Remote):
        if not (directory / MANIFEST).exists():
            create_file(directory / MANIFEST, checked_text(CLAIM.plain(identity)).encode())
            check_directory(directory, identity)  # another one may have been first
        yield
        return

    if (directory / MANIFEST).exists() and not is_writable(directory):
        yield
        return

    def waiting() -> None:
        say(f"another run records {directory}; waiting for it")

    with CLAIM.hold(directory, identity, waiting=waiting):
        if not Leases(directory).live():  # else somebody writes there, on another machine perhaps
            for folder in directory.glob("*/"):  # also one whose part.json was never in its place
                remove_unfinished(folder)
        yield


def open_cache(
    directory: Location,
    identity: Mapping[str, Any],
    parts: Sequence[str],
    views: int,
    *,
    storage: Mapping[str, Storage] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> TeacherCache:
    """Open what was cached, after comparing every byte with its checksum.

    Args:
        directory: of the teacher cache.
        identity: of what this run would record.
        parts: the signals wanted.
        views: how many views are wanted.
        storage: of parts that are not float32.
        shapes: of parts that are wanted by shape only.

    Raises:
        CacheError: it was made from something else (says which field differs), a part or a view is
            missing, or a shard is damaged.
    """
    if not (directory / MANIFEST).exists():
        raise CacheError(f"{directory} holds no teacher cache; cache it first")
    check_directory(directory, identity)
    held = {part: _held(directory, part, (storage or {}).get(part, LOSSLESS)) for part in parts}
    for shards in held.values():
        shards.check(views)
    if isinstance(directory, Remote):
        check_copies(directory, sum(shards.bytes_of(1, HEADER) for shards in held.values()), views)
    return TeacherCache(directory, views, held, dict(shapes or {}))


def part_folder(directory: Location, part: str, storage: Storage) -> Location:
    """Where one signal lives; other storages of it live beside."""
    return directory / f"{slug(part)}-{storage.name}"


def find_part(directory: Location, part: str, storage: Storage) -> Shards | None:
    """The shards of a part that was begun before; None when it was not.

    Raises:
        CacheError: what says so is damaged.
    """
    folder = part_folder(directory, part, storage)
    return _shards(folder, _read(folder / PART)) if (folder / PART).exists() else None


def claim_part(
    directory: Location,
    part: str,
    storage: Storage,
    *,
    tap: str,
    shape: Sequence[int],
    rows: int,
    per_shard: int,
) -> Shards:
    """The shards of a part, begun if it is new.

    It is cut like a part that is there, if that one's shards are not too many samples for it:
    parts that are cut alike are cached in one pass.

    Raises:
        CacheError: it was begun from another tap, shape or number of samples, or is damaged.
    """
    folder = part_folder(directory, part, storage)
    wanted = {
        "part": part,
        "tap": tap,
        "shape": list(shape),
        "dtype": storage.dtype,
        "top": storage.top,
        "rows": rows,
    }
    shards = any(folder.glob("view-*"))
    if not (folder / PART).exists():  # asked after the shards, which come later
        if shards:
            raise CacheError(
                f"{folder} holds shards but no {PART}, so nothing says what they are; delete it"
            )
        if not isinstance(folder, Remote):
            check_writable(folder, CLAIM.elsewhere, error=CacheError)
        there = [_shards(p.parent, _read(p)).per_shard for p in directory.glob(f"*/{PART}")]
        fitting = [cut for cut in there if cut <= per_shard]
        about = {**wanted, "per_shard": max(fitting, default=per_shard)}
        create_file(folder / PART, checked_text(about).encode())  # who was first decides
    found = _read(folder / PART)
    _compare(folder, {key: found.get(key) for key in wanted}, wanted)
    return _shards(folder, found)


def _held(directory: Location, part: str, storage: Storage) -> Shards:
    shards = find_part(directory, part, storage)
    if shards is None:
        there = sorted(path.parent.name for path in directory.glob(f"*/{PART}"))
        raise CacheError(
            f"{directory} does not hold '{part}' as {storage.name}; it holds {', '.join(there)}"
        )
    _compare(shards.folder, vars(shards.storage), vars(storage))
    return shards


def _identity(directory: Location) -> dict[str, Any]:
    if isinstance(directory, Remote):
        return _read(directory / MANIFEST)
    return CLAIM.read(directory)


def _shards(folder: Location, about: Mapping[str, Any]) -> Shards:
    try:
        storage = Storage(about["dtype"], about["top"])
        shape, rows, per_shard = tuple(about["shape"]), about["rows"], about["per_shard"]
    except (KeyError, TypeError) as error:
        raise CacheError(f"{folder / PART} is damaged ({error!r}); delete {folder}") from None
    for number in (*shape, rows, per_shard):
        if not isinstance(number, int) or number < 1:
            raise CacheError(f"{folder / PART} is damaged ({number!r}); delete {folder}")
    if isinstance(folder, Remote):
        return RemoteShards(folder, storage, shape, rows, per_shard)
    return Shards(folder, storage, shape, rows, per_shard)


def _read(path: Location) -> dict[str, Any]:
    return read_checked(path, CacheError, f"delete {path.parent}, and it is cached again")


def _compare(where: Location, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    difference = first_difference(wanted, found)
    if difference is not None:
        said = DIFFERS.format(directory=where, **difference._asdict())
        raise CacheError(f"{said}; {ELSEWHERE}, or delete it")
