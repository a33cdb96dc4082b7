"""Facts: the little that a stage must know of its training data to be complete.

Which layers pair up, how many rows a memory has, what the margins of a teacher are: none of it is
known when a method is called, all of it when a first batch is there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.batches import BatchSource
from stillhouse.engine.signals import BATCH, Signals, owner, part
from stillhouse.errors import WiringError

Sample = Callable[[int], Signals]
"""So many training rows, as a training batch shows them."""


@dataclass(frozen=True)
class Facts:
    """What is known of the training data before the first step.

    Args:
        shown: gives the first training rows, ``batch.image``, ``batch.label``, ... by name.
        labels: of all training rows, int64 [rows]; None where nobody said.
        count: of training rows; None where nobody said.
        batch: rows of one step of one process; None where nobody said.
        world: how many processes.
        seed: of the training.

    >>> facts = facts_given({"batch.image": torch.zeros(8, 3, 4, 4)}, 50)
    >>> facts.rows, facts.sample(2)["batch.image"].shape
    (50, torch.Size([2, 3, 4, 4]))
    """

    shown: Sample
    labels: Tensor | None = None
    count: int | None = None
    batch: int | None = None
    world: int = 1
    seed: int = 0

    def sample(self, count: int = 4) -> Signals:
        """The first rows, as a training batch shows them."""
        return self.shown(count)

    @property
    def rows(self) -> int:
        """How many training rows there are.

        Raises:
            WiringError: nobody said.
        """
        if self.count is None:
            raise WiringError(
                "rows",
                ["this method remembers each training row; say how many there are: "
                 "stage.open(images, labels, index=index, rows=len(dataset))"],
            )  # fmt: skip
        return self.count

    @property
    def classes(self) -> Tensor:
        """The label of each training row; where only their number is known, each is a class.

        Raises:
            WiringError: nobody said how many rows there are.
        """
        return torch.arange(self.rows) if self.labels is None else self.labels


def facts_of(train: BatchSource) -> Facts:
    """The facts of batches."""
    return Facts(
        train.sample,
        labels=train.labels,
        count=train.rows,
        batch=train.batch_size // train.world,
        world=train.world,
        seed=train.order_seed,
    )


def facts_given(
    signals: Mapping[str, Tensor], rows: int | Tensor | None, *, seed: int = 0
) -> Facts:
    """The facts that `Stage.open` is given: a batch and, where a method asks, the training rows.

    Args:
        signals: of the batch.
        rows: the number of training rows, or their labels, int64 [rows].
        seed: of the training.
    """
    labels = rows if isinstance(rows, Tensor) else None
    count = len(rows) if isinstance(rows, Tensor) else rows
    first = next(iter(signals.values()))

    def shown(most: int) -> Signals:
        return {name: value[:most] for name, value in signals.items()}

    batch = len(first) if first.ndim else None
    return Facts(shown, labels, count, batch, seed=seed)


def lacking(name: str, batch: Mapping[str, Tensor]) -> str:
    """What to say of a signal that a batch does not hold.

    >>> lacking("batch.index", {"batch.image": torch.zeros(1)})
    "the batch has no 'index' (it has: image); give index=..."
    """
    there = ", ".join(part(known) for known in batch if owner(known) == BATCH)
    wanted = {"image": "images", "label": "labels"}.get(part(name), f"{part(name)}=...")
    return f"the batch has no '{part(name)}' (it has: {there or 'nothing'}); give {wanted}"


def batch_signals(
    image: Tensor | None, label: Tensor | None, others: Mapping[str, Tensor | None]
) -> Signals:
    """What a batch holds, under full names; what is None is not there.

    >>> list(batch_signals(torch.zeros(2), None, {"index": torch.arange(2)}))
    ['batch.image', 'batch.index']
    """
    given: dict[str, Any] = {"image": image, "label": label, **others}
    for name, value in given.items():
        if value is not None and not isinstance(value, Tensor):
            said = f"'{name}' is {type(value).__name__}; a batch is tensors: (images, labels), and "
            said += "whatever else by its name"
            raise WiringError("batch", [said])
    return {f"{BATCH}.{name}": value for name, value in given.items() if value is not None}
