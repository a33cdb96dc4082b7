"""Batches: the signals ``batch.*`` of each step; their order is a pure function of the seed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from stillhouse.data.augment import Augment
from stillhouse.data.blocks import blocks_of, shuffled_by_blocks
from stillhouse.data.samples import SampleReader
from stillhouse.data.signal_table import SignalReader, SignalTable
from stillhouse.data.tables import ImageTable, Table, has_labels, told
from stillhouse.data.views import LOOKUP, PLAIN_VIEW, lookup, shuffled
from stillhouse.errors import DataError
from stillhouse.verification.pairs import Pairs

Order = Callable[[Tensor, int, int], Tensor]
"""The rows of an epoch in the order in which they are shown, int64 [N]: a pure function of (labels
of all rows, seed, epoch), so that a run resumes amid an epoch."""


class BatchSource(Protocol):
    """What a training is fed from: `Batches`, or a Dataset or DataLoader behind its form."""

    order_seed: int
    world: int

    @property
    def batch_size(self) -> int:
        """Rows of a step, of all processes together."""

    @property
    def loading(self) -> int:
        """Loader processes that share the cores with compute."""

    @property
    def rows(self) -> int | None:
        """How many rows there are; None where nobody knows."""

    @property
    def labels(self) -> Tensor | None:
        """The label of each row; None where nobody knows."""

    def __len__(self) -> int:
        """Steps per epoch."""

    def epoch(
        self, epoch: int, *, start: int = 0, order: Order | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """The training batches of an epoch, from a step on."""

    def once(self) -> Iterator[dict[str, Tensor]]:
        """Every row once, in order, as evaluation sees it."""

    def sample(self, count: int = 4) -> dict[str, Tensor]:
        """The first rows as a training batch would show them."""


EVALUATION_BATCH = 512
"""Images per evaluation step: no gradients are kept, so larger than in training."""


@dataclass
class Batches:
    """A table served in batches, the same on one process or on many.

    A step of W processes cuts one global batch into W equal runs, so the data of a step does not
    depend on W. The last incomplete batch of a shuffled epoch is left out (its samples come in
    other epochs); evaluation serves every row once.

    Args:
        table: images and labels, or rows of any signals.
        augment: augmentation and normalisation (small images, whole batches), and mixing.
        transform: instead of it, a function of one image (any callable, seeded per view); what it
            gives may be mixed.
        batch_size: of all processes together; at most the number of rows.
        order_seed: of the shuffle; the run's own.
        view_seed: of the augmentation; the data's own, shared by all runs.
        views: how many views a sample has in all (epoch modulo views); None: a new one each epoch.
        device: where whole-batch tables live and batches arrive.
        rank, world: this process among all.
        workers: loader processes for per-sample transforms.
        pairs: of rows that are compared where embeddings are; None: each with each other one.
    """

    table: Table
    augment: Augment
    transform: Callable[[Any], Tensor] | None = None
    batch_size: int = 64
    order_seed: int = 0
    view_seed: int = 0
    views: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rank: int = 0
    world: int = 1
    workers: int = 0
    pairs: Pairs | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise DataError(f"batch size {self.batch_size}: it must be at least 1")
        if not len(self.table):
            raise DataError("the table has no rows, so there is nothing to serve")
        self.batch_size = min(self.batch_size, len(self.table))
        if self.batch_size % self.world:
            raise DataError(
                f"a batch of {self.batch_size} cannot be cut into {self.world} equal parts; "
                f"choose a multiple of {self.world}"
            )
        self._reader = self._make_reader()

    def _make_reader(self) -> "_TableReader | SampleReader | SignalReader":
        if isinstance(self.table, SignalTable):
            return SignalReader(self.table, self.device, self.workers)
        if isinstance(self.table, ImageTable) and self.transform is None:
            return _TableReader(self.table, self.augment, self.device)
        return SampleReader(self.table, self.augment, self.transform, self.device, self.workers)

    @property
    def loading(self) -> int:
        """Loader processes that share the cores with compute; none for whole-batch tables."""
        return 0 if isinstance(self._reader, _TableReader) else self.workers

    def __len__(self) -> int:
        """Steps per epoch."""
        return len(self.table) // self.batch_size

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return len(self.table)

    @property
    def labels(self) -> Tensor | None:
        """The label of each row; None where rows have none."""
        return self.table.labels if has_labels(self.table) else None

    def view_of(self, epoch: int) -> int:
        """The view that an epoch shows."""
        return epoch if self.views is None else epoch % self.views

    def epoch(
        self, epoch: int, *, start: int = 0, order: Order | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """The training batches of an epoch (counted from 0), from a step on.

        ``order`` gives the rows in place of a shuffle: as many as there are.
        """
        if order is None:
            rows_shown = self._shuffled(epoch)
        elif blocks_of(self.table) is not None:
            raise DataError(
                "this method shows rows in an order of its own, out of all archives, and "
                "archives.shuffle (data.archives) holds some of them at a time; leave it out, with "
                "room for all archives"
            )
        else:
            rows_shown = order(self._known_labels().cpu(), self.order_seed, epoch)
        share = self.batch_size // self.world
        rows = [
            rows_shown[step * self.batch_size + self.rank * share :][:share]
            for step in range(start, len(self))
        ]
        return self._reader.read(rows, view=self.view_of(epoch), seed=self.view_seed)

    def _shuffled(self, epoch: int) -> Tensor:
        blocks = blocks_of(self.table)
        if blocks is None:
            return shuffled(self.order_seed, epoch, len(self.table))
        return shuffled_by_blocks(self.order_seed, epoch, blocks)

    def _known_labels(self) -> Tensor:
        if self.labels is None:
            raise DataError("this method shows rows in an order by class, and they have no labels")
        return self.labels

    def once(self, batch_size: int | None = None) -> Iterator[dict[str, Tensor]]:
        """Every row once, in order and not augmented; this process's share of it.

        ``batch_size``: `EVALUATION_BATCH` unless said, here or by the table.
        """
        own = self.table.evaluated if isinstance(self.table, SignalTable) else None
        batch_size = batch_size or own or EVALUATION_BATCH
        rows = torch.arange(self.rank, len(self.table), self.world)
        return self._reader.read(list(rows.split(batch_size)), view=PLAIN_VIEW, seed=0)

    def show(self, rows: Tensor, view: int) -> dict[str, Tensor]:
        """These rows under one view."""
        return next(self.shown([rows], view))

    def shown(self, rows: list[Tensor], view: int) -> Iterator[dict[str, Tensor]]:
        """Batches of these rows under one view, by one pool of loader processes."""
        return self._reader.read(rows, view=view, seed=self.view_seed)

    def sample(self, count: int = 4) -> dict[str, Tensor]:
        """The first rows as a training batch would show them, to check a stage on."""
        rows = torch.arange(min(count, len(self.table)))
        return self.show(rows, self.view_of(0))


class _TableReader:
    """Whole batches of a table that lives on the device."""

    def __init__(self, table: ImageTable, augment: Augment, device: torch.device) -> None:
        self._table = table
        self._images = table.images.to(device)
        self._labels = table.labels.to(device)
        self._augment = augment
        self._mixing = augment.mixing(len(table))
        self._device = device

    def read(self, rows: list[Tensor], *, view: int, seed: int) -> Iterator[dict[str, Tensor]]:
        mixing = None if view == PLAIN_VIEW else self._mixing
        for cpu_rows in rows:
            needed = cpu_rows
            if mixing is not None:
                needed = mixing.with_partners(seed=seed, index=cpu_rows, view=view)
            read = needed.to(self._device, non_blocking=True)
            signals = {
                "batch.image": self._image(read, view, seed),
                "batch.label": self._labels[read],
            }
            if mixing is not None:
                signals = mixing.signals(signals, seed=seed, index=cpu_rows, view=view)
            index = read[: len(cpu_rows)]
            yield {
                **told(signals),
                "batch.index": index,
                "batch.view": torch.full_like(index, view),
                LOOKUP: lookup(cpu_rows, view),
            }

    def _image(self, index: Tensor, view: int, seed: int) -> Tensor:
        images = self._images[self._table.stored(index)]
        if view == PLAIN_VIEW:
            return self._augment(images)
        return self._augment.view(images, seed=seed, index=index, view=view)
