"""A teacher cache on disk: what made it, and the signals of a role that it holds.

    teacher-cache-.../
      teacher-cache.json                  identity: weights, data, view seed, precision, ...
      logits-float32/part.json        tap, shape, storage, samples per shard
      logits-float32/view-0000-row-00000000-1f0c....safetensors

Views and signals can be added later; the identity never changes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillhouse.cache.shards import Shards
from stillhouse.cache.storage import LOSSLESS, Storage
from stillhouse.errors import CacheError
from stillhouse.records.checked import read_checked, write_checked
from stillhouse.records.claim import Claim
from stillhouse.records.files import remove_unfinished
from stillhouse.records.fingerprint import first_difference
from stillhouse.records.names import slug
from stillhouse.records.writable import check_writable, is_writable

MANIFEST = "teacher-cache.json"
PART = "part.json"
DIFFERS = "{directory} was cached with {key} {there!r}, this run has {asked!r}"
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

    directory: Path
    views: int
    parts: Mapping[str, Shards]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Room that it takes on disk, all views."""
        return sum(
            path.stat().st_size
            for shards in self.parts.values()
            for path in shards.present().values()
        )

    @property
    def seconds(self) -> float:
        """What the teacher cache of all that is there has taken, over all runs."""
        return sum(shards.seconds() for shards in self.parts.values())


def check_directory(
    directory: Path, identity: Mapping[str, Any] | None = None, *, unknown: Collection[str] = ()
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
    known = (directory / MANIFEST).exists()
    if not known and any(directory.glob("*/view-*-row-*")):
        raise CacheError(
            f"{directory} holds shards but no {MANIFEST}, so nothing says what made them; delete "
            "it, or choose another (cache.directory)"
        )
    if known and identity is not None and unknown:
        there = CLAIM.read(directory)
        identity = {**identity, **{name: there.get(name) for name in unknown}}
    CLAIM.begun(directory, identity)


@contextmanager
def writing_alone(
    directory: Path, identity: Mapping[str, Any], say: Callable[[str], None]
) -> Iterator[None]:
    """Have a teacher cache for oneself; other runs that want it wait and then find its shards.

    Another user's, which may only be read, is not held: a shard that is there never changes.

    Raises:
        CacheError: as of `check_directory`, or it cannot be written to.
    """
    check_directory(directory, identity)

    if (directory / MANIFEST).exists() and not is_writable(directory):
        yield
        return

    def waiting() -> None:
        say(f"another run records {directory}; waiting for it")

    with CLAIM.hold(directory, identity, waiting=waiting):
        for folder in directory.glob("*/"):  # also one whose part.json was never put in its place
            remove_unfinished(folder)
        yield


def open_cache(
    directory: Path,
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
    return TeacherCache(directory, views, held, dict(shapes or {}))


def part_folder(directory: Path, part: str, storage: Storage) -> Path:
    """Where one signal lives; other storages of it live beside."""
    return directory / f"{slug(part)}-{storage.name}"


def find_part(directory: Path, part: str, storage: Storage) -> Shards | None:
    """The shards of a part that was begun before; None when it was not.

    Raises:
        CacheError: what says so is damaged.
    """
    folder = part_folder(directory, part, storage)
    return _shards(folder, _read(folder / PART)) if (folder / PART).exists() else None


def claim_part(
    directory: Path,
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
    if not (folder / PART).exists():
        if any(folder.glob("view-*")):
            raise CacheError(
                f"{folder} holds shards but no {PART}, so nothing says what they are; delete it"
            )
        check_writable(folder, CLAIM.elsewhere, error=CacheError)
        there = [_shards(p.parent, _read(p)).per_shard for p in directory.glob(f"*/{PART}")]
        fitting = [cut for cut in there if cut <= per_shard]
        write_checked(folder / PART, {**wanted, "per_shard": max(fitting, default=per_shard)})
    found = _read(folder / PART)
    _compare(folder, {key: found.get(key) for key in wanted}, wanted)
    return _shards(folder, found)


def _held(directory: Path, part: str, storage: Storage) -> Shards:
    shards = find_part(directory, part, storage)
    if shards is None:
        there = sorted(path.parent.name for path in directory.glob(f"*/{PART}"))
        raise CacheError(
            f"{directory} does not hold '{part}' as {storage.name}; it holds {', '.join(there)}"
        )
    _compare(shards.folder, vars(shards.storage), vars(storage))
    return shards


def _shards(folder: Path, about: Mapping[str, Any]) -> Shards:
    try:
        storage = Storage(about["dtype"], about["top"])
        shape, rows, per_shard = tuple(about["shape"]), about["rows"], about["per_shard"]
    except (KeyError, TypeError) as error:
        raise CacheError(f"{folder / PART} is damaged ({error!r}); delete {folder}") from None
    for number in (*shape, rows, per_shard):
        if not isinstance(number, int) or number < 1:
            raise CacheError(f"{folder / PART} is damaged ({number!r}); delete {folder}")
    return Shards(folder, storage, shape, rows, per_shard)


def _read(path: Path) -> dict[str, Any]:
    return read_checked(path, CacheError, f"delete {path.parent}, and it is cached again")


def _compare(where: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    difference = first_difference(wanted, found)
    if difference is not None:
        said = DIFFERS.format(directory=where, **difference._asdict())
        raise CacheError(f"{said}; {ELSEWHERE}, or delete it")
