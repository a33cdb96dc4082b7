"""Shards of one cached signal on an object store.

    logits-float32/view-0003-row-00004096-1f0c....safetensors   written once, named by checksum
    logits-float32/view-0003.json                               last: the view is whole, from these

A reader trusts what the manifest of a view names and nothing else; whoever records goes by the
shards that are there, so what was written before a kill is not made again.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch import Tensor

from stillhouse.cache.shards import AGAIN, PATTERN, Shards, Spot, spot_text
from stillhouse.cache.storage import Storage
from stillhouse.errors import CacheError
from stillhouse.records.checked import checked_text, read_checked
from stillhouse.records.remote import Remote
from stillhouse.records.remote_files import RemoteFiles

AT_ONCE = 8
"""Shards that are read from a store at the same time."""


class RemoteShards(Shards):
    """The shards of one signal in a folder of a store; as `Shards`, but for where."""

    def __init__(
        self, folder: Remote, storage: Storage, shape: tuple[int, ...], rows: int, per_shard: int
    ) -> None:
        super().__init__(folder, storage, shape, rows, per_shard)
        self._remote = folder
        self._there = RemoteFiles(folder, PATTERN, error=CacheError, again=AGAIN)
        self._checked: set[str] = set()

    def present(self) -> Collection[Spot]:
        """The places whose shards are there."""
        return self._there.sizes()

    def there(self, spot: Spot) -> bool:
        """Whether the shard of one place is there."""
        return self._there.there(spot)

    @property
    def bytes(self) -> int:
        """Room that the shards take on the store."""
        return sum(size for _, size in self._there.sizes().values())

    def write(self, spot: Spot, tensors: Mapping[str, Tensor], seconds: float) -> None:
        """Put a shard in; one that is there stays."""
        self._there.write(spot, tensors, {"spot": spot_text(spot)})
        self._spent.add(seconds)

    def finish(self, views: int) -> None:
        """Write the manifest of each view that has none; one that is there stays.

        Raises:
            CacheError: a shard is missing.
        """
        there = self._there.sizes()
        for view in range(views):
            if self._manifest(view).exists():
                continue
            shards = {}
            for spot in self.spots(views):
                if spot[0] == view:
                    if spot not in there:
                        raise self.lacking(spot)
                    name, size = there[spot]
                    shards[str(spot[1])] = {"name": name, "bytes": size}
            self._manifest(view).create(checked_text({"view": view, "shards": shards}).encode())

    def check(self, views: int) -> None:
        """See that each of these views has its manifest, and each shard that it names its size.

        The content of a shard is compared with its checksum when it is read.

        Raises:
            CacheError: one is missing, or of another size.
        """
        sizes = self._remote.sizes()
        for view in range(views):
            for spot, (name, size) in self._named(view).items():
                if name not in sizes:
                    raise self.lacking(spot)
                if sizes[name] != size:
                    raise CacheError(
                        f"{self._remote / name} is damaged: it has {sizes[name]} bytes, and "
                        f"{self._manifest(view).name} says {size}; {AGAIN}"
                    )

    def opened(self, view: int) -> list[dict[str, Tensor]]:
        """The shards of one view over copies on this machine, in order of rows, checked."""
        named = self._named(view)

        def copied(spot: Spot) -> dict[str, Tensor]:
            name, size = named[spot]
            path, tensors = self._there.mapped(name, size)
            if name not in self._checked:
                self.check_content(spot, path)
                self._checked.add(name)
            return tensors

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(copied, named))

    def _manifest(self, view: int) -> Remote:
        return self._remote / f"view-{view:04d}.json"

    def _named(self, view: int) -> dict[Spot, tuple[str, int]]:
        """What the manifest of a view names, in order of rows."""
        place = self._manifest(view)
        if not place.exists():
            raise CacheError(
                f"{self._remote} has no {place.name}, so view {view} is not whole; record it again "
                "(stillhouse cache RECIPE)"
            )
        again = "delete this object, and the same command writes it again"
        found: dict[str, Any] = read_checked(place, CacheError, again)
        wanted = [spot for spot in self.spots(view + 1) if spot[0] == view]
        try:
            shards = {spot: found["shards"][str(spot[1])] for spot in wanted}
            return {spot: (str(one["name"]), int(one["bytes"])) for spot, one in shards.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise CacheError(f"{place} is damaged ({error!r}); {again}") from None
