"""Replay: the node that serves a cached role under the same signal names."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stillhouse.cache.teacher_cache import TeacherCache
from stillhouse.data.views import LOOKUP
from stillhouse.engine.nodes import Node
from stillhouse.engine.signals import Signals
from stillhouse.errors import CacheError, nearest


class Replay(Node):
    """A cached role. Reads which samples and views a batch shows; gives the role's signals.

    A part that the teacher cache knows by shape only (a bridge is sized by it, nothing reads it) is
    given as nan that takes no room.

    Raises:
        CacheError: a view was asked for that was not cached.
    """

    cached = True

    def __init__(self, name: str, cache: TeacherCache) -> None:
        super().__init__(name, [LOOKUP, "batch.index"])
        self.cache = cache
        self._parts: tuple[str, ...] = tuple(cache.parts)

    def problem(self, part: str) -> str | None:
        """Only cached parts can be served."""
        known = [*self.cache.parts, *self.cache.shapes]
        if part in known:
            return None
        return f"'{part}' of '{self.name}' was not cached; {nearest(part, known)}"

    def open(self, parts: Sequence[str]) -> None:  # type: ignore[override]
        """Serve only what is read."""
        self._parts = tuple(parts)

    def run(self, signals: Mapping[str, Tensor]) -> Signals:
        """Look the batch up: on the CPU, so that an accelerator is never waited for."""
        index, view = signals[LOOKUP].unbind(1)
        device = signals["batch.index"].device
        views = view.unique().tolist()
        if views[-1] >= self.cache.views or views[0] < 0:
            raise CacheError(
                f"'{self.name}' was cached for views 0..{self.cache.views - 1}, but view "
                f"{int(views[-1])} was shown; record more views or set data.views: "
                f"{self.cache.views}"
            )
        given = {}
        for part in self._parts:
            if part in self.cache.parts:
                value = self._gather(part, index, view, views)
            else:
                shape = self.cache.shapes[part]
                value = torch.full((), torch.nan).expand(len(index), *shape)
            given[f"{self.name}.{part}"] = value.to(device, non_blocking=True)
        return given

    def _gather(self, part: str, index: Tensor, view: Tensor, views: list[int]) -> Tensor:
        shards = self.cache.parts[part]
        if len(views) == 1:  # the batches of an epoch show one view
            return shards.gather(views[0], index)
        value = torch.empty(len(index), *shards.shape)
        for one in views:
            value[view == one] = shards.gather(one, index[view == one])
        return value
