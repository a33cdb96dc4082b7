"""Shards of one cached signal: sealed files, each a run of samples under one view.

``view-0003-row-00004096-<sha256, 16 digits>.safetensors``
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from stillhouse.cache.spent import Spent
from stillhouse.cache.storage import VALUE, VIEWS_AT_ONCE, Storage
from stillhouse.errors import CacheError
from stillhouse.records.remote import Location, Remote
from stillhouse.records.sealed import Place, SealedFiles, mapped

PATTERN = "view-{:04d}-row-{:08d}"
AGAIN = "delete this file, and only this shard will be cached again"
Spot = Place
"""(view, first row) of a shard."""


class Shards:
    """The shards of one signal in a folder; on an object store: `RemoteShards`.

    Args:
        folder: of this signal alone.
        storage: how values are stored.
        shape: of the signal of one sample.
        rows: how many samples there are.
        per_shard: how many of them a shard holds; the last one may hold fewer.
    """

    def __init__(
        self, folder: Location, storage: Storage, shape: tuple[int, ...], rows: int, per_shard: int
    ) -> None:
        self.folder = folder
        self.storage = storage
        self.shape = shape
        self.rows = rows
        self.per_shard = per_shard
        if not isinstance(folder, Remote):
            self._files = SealedFiles(folder, PATTERN, error=CacheError, again=AGAIN)
        self._mapped: dict[int, list[dict[str, Tensor]]] = {}
        self._spent = Spent(folder)

    def spots(self, views: int) -> list[Spot]:
        """All shards of so many views, in order."""
        return [(view, row) for view in range(views) for row in range(0, self.rows, self.per_shard)]

    def present(self) -> Collection[Spot]:
        """The places whose shards are there."""
        return self._files.present()

    def there(self, spot: Spot) -> bool:
        """Whether the shard of one place is there."""
        return self._files.there(spot)

    @property
    def bytes(self) -> int:
        """Room that the shards take."""
        return sum(path.stat().st_size for path in self._files.present().values())

    def bytes_of(self, views: int, header: int = 0) -> int:
        """Room that so many views take, with so many bytes beside the values of each shard."""
        values = self.rows * views * self.storage.bytes_per_sample(self.shape)
        return values + header * len(self.spots(views))

    def write(self, spot: Spot, tensors: Mapping[str, Tensor], seconds: float) -> None:
        """Write a shard whole, and note beside what it took: equal shards have equal bytes."""
        self._files.write(spot, tensors, {"spot": spot_text(spot)})
        self._spent.add(seconds)

    def finish(self, views: int) -> None:
        """Say that all shards of these views are there; of files here their names say it."""

    def check(self, views: int) -> None:
        """Compare each shard of these views with its checksum.

        Raises:
            CacheError: one is missing or was changed; says which.
        """
        there = self._files.present()
        for spot in self.spots(views):
            path = there.get(spot)
            if path is None:
                raise self.lacking(spot)
            self._files.check(path)
            self.check_content(spot, path)

    def lacking(self, spot: Spot) -> CacheError:
        """The error of a shard that is not there."""
        return CacheError(
            f"{self.folder} lacks the shard of view {spot[0]}, row {spot[1]}; record it again"
        )

    def check_content(self, spot: Spot, path: Path) -> None:
        """A whole shard, but of this place and cut? Files are renamed, part.json is edited."""
        with safe_open(path, framework="pt") as file:
            about, held = file.metadata() or {}, file.get_slice(VALUE).get_shape()
        each = self.shape if self.storage.top is None else (self.storage.top,)
        wanted = [min(self.per_shard, self.rows - spot[1]), *each]
        if held != wanted or about.get("spot", spot_text(spot)) != spot_text(spot):
            raise CacheError(
                f"{path} is of another place ({about.get('spot', 'unknown')}; {held} values, "
                f"wanted {wanted}): it was renamed, or part.json beside it was edited; delete "
                f"{self.folder}"
            )

    def seconds(self) -> float:
        """What caching all shards took, over all who did."""
        return self._spent.seconds()

    def gather(self, view: int, index: Tensor) -> Tensor:
        """The signal of these samples under one view, float32 on the CPU.

        Shapes:
            index: int64 [B] on the CPU; returns [B, ...].
        """
        mapped = self._map(view)
        if len(mapped) == 1:
            return self._decoded({key: value[index] for key, value in mapped[0].items()})
        taken: dict[str, Tensor] = {}
        for number, (shard, places) in enumerate(_by_shard(index, self.per_shard)):
            local = index[places] - shard * self.per_shard
            for key, value in mapped[shard].items():
                if number == 0:
                    taken[key] = value.new_empty(len(index), *value.shape[1:])
                taken[key][places] = value[local]
        return self._decoded(taken)

    def _decoded(self, stored: Mapping[str, Tensor]) -> Tensor:
        return self.storage.decode(stored, self.shape)

    def _map(self, view: int) -> list[dict[str, Tensor]]:
        if view not in self._mapped:
            while len(self._mapped) >= VIEWS_AT_ONCE:
                self._mapped.pop(next(iter(self._mapped)))
            self._mapped[view] = self.opened(view)
        return self._mapped[view]

    def opened(self, view: int) -> list[dict[str, Tensor]]:
        """The shards of one view over their mapped files, in order of rows."""
        there = self._files.present()
        for row in range(0, self.rows, self.per_shard):
            if (view, row) not in there:
                raise CacheError(
                    f"the shard of view {view}, row {row} was removed from {self.folder} while "
                    "it is in use; run again to cache it again"
                )
        return [mapped(there[view, row]) for row in range(0, self.rows, self.per_shard)]


def spot_text(spot: Spot) -> str:
    """A place for people, as its shard says it, too."""
    return f"view {spot[0]}, row {spot[1]}"


def _by_shard(index: Tensor, per_shard: int) -> list[tuple[int, Tensor]]:
    """Which places of a batch each shard fills."""
    shards = index // per_shard
    return [(int(s), (shards == s).nonzero().squeeze(1)) for s in shards.unique().tolist()]
