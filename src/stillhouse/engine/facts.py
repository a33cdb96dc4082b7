"""Facts: the little that a stage must know of its training data to be complete.

Which layers pair up, how many rows a memory has, what the margins of a teacher are: none of it is
known when a method is called, all of it when a first batch is there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.batches import BatchSource
from stillhouse.engine.mixed_labels import LEAVE_OUT, is_mixed
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
            WiringError: nobody said how many rows there are, or images are mixed of two rows.
        """
        if is_mixed(self.sample(1)):
            said = f"this method tells rows apart by their one class, and {LEAVE_OUT}"
            raise WiringError("labels", [said])
        return torch.arange(self.rows) if self.labels is None else self.labels


SAID_ROWS = "rows is the number of training rows, a whole number, or their labels, a tensor [rows]"


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
    given: object = rows
    labels = count = None
    if isinstance(given, Tensor):
        labels, count = given, len(given) if given.ndim == 1 else 0
    elif isinstance(given, bool) or not isinstance(given, Integral | None):
        count = 0
    elif given is not None:
        count = int(given)
    if count is not None and count < 1:
        said = f"a tensor {list(given.shape)}" if isinstance(given, Tensor) else f"{given!r:.40}"
        raise WiringError("rows", [f"{SAID_ROWS}; it is {said}"])
    first = next(iter(signals.values()))

    def shown(most: int) -> Signals:
        return {name: value[:most] for name, value in signals.items()}

    batch = len(first) if first.ndim else None
    return Facts(shown, labels, count, batch, seed=seed)


HOW_TO_GIVE = {
    "image": "images (in a mapping: image, images, img or pixel_values)",
    "label": "labels (in a mapping: label, labels, target or targets)",
    "index": "index=..., the row of each image in the training data (a DataLoader: batches of "
    "(images, labels, index); `fit` on the Dataset itself knows the rows)",
}


def lacking(name: str, batch: Mapping[str, Tensor]) -> str:
    """What to say of a signal that a batch does not hold.

    >>> lacking("batch.mask", {"batch.image": torch.zeros(1)})
    "the batch has no 'mask' (it has: image); give mask=..."
    """
    there = ", ".join(part(known) for known in batch if owner(known) == BATCH)
    wanted = HOW_TO_GIVE.get(part(name), f"{part(name)}=...")
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
