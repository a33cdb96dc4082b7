"""Shards of one cached signal: sealed files, each a run of samples under one view.

``view-0003-row-00004096-<sha256, 16 digits>.safetensors``
"""

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from stillhouse.cache.storage import VALUE, Storage
from stillhouse.errors import CacheError
from stillhouse.records.sealed import Place, SealedFiles, mapped, words_about

PATTERN = "view-{:04d}-row-{:08d}"
AGAIN = "delete this file, and only this shard will be cached again"
KEPT_OPEN = 2
"""Views whose shards stay mapped: the one that is served and the one before it."""

Spot = Place
"""(view, first row) of a shard."""


class Shards:
    """The shards of one signal in a folder.

    Args:
        folder: of this signal alone.
        storage: how values are stored.
        shape: of the signal of one sample.
        rows: how many samples there are.
        per_shard: how many of them a shard holds; the last one may hold fewer.
    """

    def __init__(
        self, folder: Path, storage: Storage, shape: tuple[int, ...], rows: int, per_shard: int
    ) -> None:
        self.folder = folder
        self.storage = storage
        self.shape = shape
        self.rows = rows
        self.per_shard = per_shard
        self._files = SealedFiles(folder, PATTERN, error=CacheError, again=AGAIN)
        self._mapped: dict[int, list[dict[str, Tensor]]] = {}

    def spots(self, views: int) -> list[Spot]:
        """All shards of so many views, in order."""
        return [(view, row) for view in range(views) for row in range(0, self.rows, self.per_shard)]

    def present(self) -> dict[Spot, Path]:
        """The shards that are there."""
        return self._files.present()

    def write(self, spot: Spot, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> int:
        """Write a shard whole; gives its size in bytes."""
        return self._files.write(spot, tensors, {**about, "spot": _spot_text(spot)})

    def check(self, views: int) -> None:
        """Compare each shard of these views with its checksum.

        Raises:
            CacheError: one is missing or was changed; says which.
        """
        there = self.present()
        for spot in self.spots(views):
            path = there.get(spot)
            if path is None:
                raise CacheError(
                    f"{self.folder} lacks the shard of view {spot[0]}, row {spot[1]}; record it "
                    "again"
                )
            self._files.check(path)
            self._check_content(spot, path)

    def _check_content(self, spot: Spot, path: Path) -> None:
        """A whole shard, but of this place and cut? Files are renamed, part.json is edited."""
        with safe_open(path, framework="pt") as file:
            about, held = file.metadata() or {}, file.get_slice(VALUE).get_shape()
        each = self.shape if self.storage.top is None else (self.storage.top,)
        wanted = [min(self.per_shard, self.rows - spot[1]), *each]
        if held != wanted or about.get("spot", _spot_text(spot)) != _spot_text(spot):
            raise CacheError(
                f"{path} is of another place ({about.get('spot', 'unknown')}; {held} values, "
                f"wanted {wanted}): it was renamed, or part.json beside it was edited; delete "
                f"{self.folder}"
            )

    def seconds(self) -> float:
        """What caching all shards took, as they say themselves."""
        return sum(float(words_about(path).get("seconds", 0.0)) for path in self.present().values())

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
            there = self.present()
            for row in range(0, self.rows, self.per_shard):
                if (view, row) not in there:
                    raise CacheError(
                        f"the shard of view {view}, row {row} was removed from {self.folder} while "
                        "it is in use; run again to cache it again"
                    )
            while len(self._mapped) >= KEPT_OPEN:
                self._mapped.pop(next(iter(self._mapped)))
            rows = range(0, self.rows, self.per_shard)
            self._mapped[view] = [mapped(there[view, row]) for row in rows]
        return self._mapped[view]


def _spot_text(spot: Spot) -> str:
    return f"view {spot[0]}, row {spot[1]}"


def _by_shard(index: Tensor, per_shard: int) -> list[tuple[int, Tensor]]:
    """Which places of a batch each shard fills."""
    shards = index // per_shard
    return [(int(s), (shards == s).nonzero().squeeze(1)) for s in shards.unique().tolist()]
