"""A pass of a frozen role over the data, as it would run in training."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.data.samples import SampleReader
from stillhouse.engine.composite import run_outside
from stillhouse.engine.flags import Flags
from stillhouse.engine.layout import Homes
from stillhouse.engine.nodes import Node, Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.engine.threads import thread_budget
from stillhouse.errors import CacheError, nearest


@dataclass(frozen=True)
class Pass:
    """A role, what it reads, and the batches that are shown to it.

    Args:
        role: frozen.
        before: nodes that it reads, such as its own form of the image.
        train: gives samples and batch size.
        platform: device, precision, processes.
    """

    role: Role
    before: Sequence[Node]
    train: Batches
    platform: Platform

    @property
    def size(self) -> int:
        """The batch of the training step of one process: the same arithmetic, the same bits."""
        return self.train.batch_size // self.train.world

    def rows(self, first: int) -> Tensor:
        """A batch in order; the last one is filled up with the last sample."""
        return torch.arange(first, first + self.size).clamp_max(len(self.train.table) - 1)

    def signals(self, rows: Sequence[Tensor], view: int) -> Iterator[Signals]:
        """The role's signals of these batches under one view."""
        for batch in self._shown(rows, view):
            dtype = self.platform.autocast_dtype
            with torch.autocast(self.platform.device.type, dtype, enabled=dtype is not None):
                given = run_outside([*self.before, self.role], batch)
            yield given

    def _shown(self, rows: Sequence[Tensor], view: int) -> Iterator[Signals]:
        train = self.train
        if not train.loading:
            return (train.show(some, view) for some in rows)
        # One pool of loader processes for all batches, where `show` would start one for each.
        reader = SampleReader(
            train.table, train.augment, train.transform, train.device, train.workers
        )
        return reader.read(list(rows), view=view, seed=train.view_seed)

    def given(self, signals: Mapping[str, Tensor], part: str) -> Tensor:
        """One part of the role's signals.

        Raises:
            CacheError: the role does not give it.
        """
        name = f"{self.role.name}.{part}"
        if name in signals:
            return signals[name]
        own = f"{self.role.name}."
        known = [key.removeprefix(own) for key in signals if key.startswith(own)]
        raise CacheError(f"'{self.role.name}' gives no '{part}'; {nearest(part, known)}")


@contextlib.contextmanager
def running(work: Pass, parts: Sequence[str]) -> Iterator[None]:
    """The role placed, in eval mode and with its hooks; afterwards all is as it was.

    Raises:
        CacheError: the role cannot give a part.
    """
    problems = [problem for part in parts if (problem := work.role.problem(part))]
    if problems:
        raise CacheError(problems[0])
    modules = [node.module for node in (*work.before, work.role) if node.module is not None]
    flags, homes = Flags(modules), Homes(modules)
    try:
        homes.place(work.platform.device, channels_last=True)
        for module in modules:
            module.eval()
        work.role.open(parts)
        with thread_budget(work.train.loading, work.platform):
            yield
    finally:
        work.role.close()
        flags.restore()
        homes.restore()
