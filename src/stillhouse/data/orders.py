"""Orders: how an epoch shows its rows where a method asks for more than a shuffle."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from stillhouse.data.batches import Order
from stillhouse.data.views import shuffled, uniform
from stillhouse.errors import DataError

_PARTNER = 2
"""The draw that picks partners."""


class OrderSampler(Sampler[int]):
    """An order of rows as a sampler of a DataLoader, another one for each epoch.

    Args:
        order: a pure function of (labels, seed, epoch).
        labels: of all rows, int64 [N].
        seed: of the training.

    >>> sampler = OrderSampler(class_pairs, torch.tensor([0, 1, 0, 1]))
    >>> sampler.set_epoch(1)
    >>> labels = torch.tensor([0, 1, 0, 1])[list(sampler)]
    >>> bool((labels[::2] == labels[1::2]).all()), len(sampler)
    (True, 4)
    """

    def __init__(self, order: Order, labels: Tensor, *, seed: int = 0) -> None:
        known = labels if isinstance(labels, Tensor) else torch.as_tensor(labels)
        if known.ndim != 1 or known.is_floating_point() or not len(known):
            raise DataError(
                f"the labels of a sampler are whole numbers [N], one for each row; these are "
                f"{known.dtype} {list(known.shape)}"
            )
        self.order, self.labels, self.seed, self.epoch = order, known.long(), seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes, counted from 0."""
        self.epoch = epoch

    def _rows(self) -> list[int]:
        rows: list[int] = self.order(self.labels.cpu(), self.seed, self.epoch).tolist()
        return rows

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())


def class_pairs(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """Rows as neighbouring pairs of one class: 2i is an anchor, 2i + 1 its partner.

    An epoch shows as many rows as ever, so half of them are anchors: two epochs in a row show each
    row as an anchor once. The partner is any other row of the class; the only row of a class is its
    own partner.

    Shapes:
        labels: int64 [N]; returns int64 [N], or [N - 1] where N is odd.

    >>> labels = torch.arange(24) % 3
    >>> pairs = class_pairs(labels, 0, 0).view(-1, 2)
    >>> bool((labels[pairs[:, 0]] == labels[pairs[:, 1]]).all()), len(set(pairs[:, 0].tolist()))
    (True, 12)
    """
    rows = len(labels)
    half = rows // 2
    anchors = shuffled(seed, epoch // 2, rows)
    anchors = anchors[:half] if epoch % 2 == 0 else anchors[rows - half :]
    partners = _partners(labels, anchors, seed, epoch)
    return torch.stack([anchors, partners], 1).flatten()


def _partners(labels: Tensor, anchors: Tensor, seed: int, epoch: int) -> Tensor:
    """For each anchor another row of its class, drawn anew each epoch."""
    by_class = labels.argsort(stable=True)
    _, of_class, counts = labels.unique(return_inverse=True, return_counts=True)
    first = counts.cumsum(0) - counts
    place = torch.empty_like(labels)
    place[by_class] = torch.arange(len(labels)) - first[of_class[by_class]]  # within the class
    kind = of_class[anchors]
    others = counts[kind] - 1
    drawn = (uniform(seed, anchors, epoch, _PARTNER) * others).long().clamp(max=others - 1)
    chosen = (place[anchors] + 1 + drawn) % counts[kind]  # of one row: (0 + 1 - 1) % 1
    return by_class[first[kind] + chosen]
