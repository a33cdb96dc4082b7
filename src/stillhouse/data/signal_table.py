"""SignalTable: rows of any named tensors, such as sentences, or images with boxes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stillhouse.data.views import LOOKUP, lookup


@dataclass(frozen=True, eq=False)
class SignalTable(ABC):
    """Rows that a batch shows as named signals; what they are is the table's own affair.

    Its rows under a view are a pure function of (row, view, seed).

    Args:
        labels: of each row, by which splits are drawn: int64 [N], or `[N, 0]` where rows have none.
    """

    labels: Tensor

    noun: ClassVar[str] = "rows"
    """What its rows are called in messages."""

    varies: ClassVar[bool] = False
    """Whether two views of a row may differ."""

    evaluated: ClassVar[int | None] = None
    """Rows of an evaluation step, where they should be fewer than of images."""

    @property
    @abstractmethod
    def signals(self) -> tuple[str, ...]:
        """What `show` gives, without ``batch.``: what networks read, and what the task reads."""

    @abstractmethod
    def take(self, rows: Tensor) -> Self:
        """These rows, in this order."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Another text whenever a row, its label or their order changed."""

    @abstractmethod
    def show(self, rows: Tensor, *, view: int, seed: int) -> dict[str, Tensor]:
        """These rows under a view, by the names of `signals`, each `[B, ...]`, on the CPU.

        Args:
            rows: int64 [B].
            view: its number; `stillhouse.data.views.PLAIN_VIEW`: as evaluation sees them.
            seed: of all views.
        """

    def __len__(self) -> int:
        return len(self.labels)

    def stored(self, rows: Tensor) -> Tensor:
        """Which stored sample a row is: its own."""
        return rows


class SignalReader:
    """Batches of a `SignalTable`, with loader processes if wanted."""

    def __init__(self, table: SignalTable, device: torch.device, workers: int) -> None:
        self._table, self._device, self._workers = table, device, workers

    def read(self, rows: list[Tensor], *, view: int, seed: int) -> Iterator[dict[str, Tensor]]:
        """Batches for these rows, as signals on the device."""
        shown: Any = _Shown(self._table, rows, view, seed)
        if self._workers:
            shown = DataLoader(shown, batch_size=None, num_workers=self._workers)
        for index, found in zip(rows, shown, strict=True):
            signals = {f"batch.{name}": value for name, value in found.items()}
            known = {name: value for name, value in signals.items() if value.shape[1:] != (0,)}
            on = {n: v.to(self._device, non_blocking=True) for n, v in known.items()}
            here = index.to(self._device, non_blocking=True)
            yield {
                **on,
                "batch.index": here,
                "batch.view": torch.full_like(here, view),
                LOOKUP: lookup(index, view),
            }


class _Shown(Dataset[dict[str, Tensor]]):
    """The batches of a table, one for each run of rows."""

    def __init__(self, table: SignalTable, rows: list[Tensor], view: int, seed: int) -> None:
        self._table, self._rows, self._view, self._seed = table, rows, view, seed

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: int) -> dict[str, Tensor]:
        if at >= len(self._rows):
            raise IndexError(at)
        return self._table.show(self._rows[at], view=self._view, seed=self._seed)
