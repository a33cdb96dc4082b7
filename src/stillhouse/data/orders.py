"""Orders: how an epoch shows its rows where a method asks for more than a shuffle.

Each is an `Order`, a pure function of (batches, epoch), so that a run resumes amid an epoch.
"""

import torch
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.data.views import shuffled, uniform
from stillhouse.errors import DataError

_PARTNER = 2
"""The draw that picks partners."""


def class_pairs(batches: Batches, epoch: int) -> Tensor:
    """Rows as neighbouring pairs of one class: 2i is an anchor, 2i + 1 its partner.

    An epoch shows as many rows as ever, so half of them are anchors: two epochs in a row show each
    row as an anchor once. The partner is any other row of the class; the only row of a class is its
    own partner.

    Shapes:
        returns int64 [N], or [N - 1] where N is odd.

    Raises:
        DataError: a process would not get whole pairs.

    >>> from stillhouse.testing.toy import toy_batches
    >>> batches = toy_batches()
    >>> pairs = class_pairs(batches, 0).view(-1, 2)
    >>> labels = batches.table.labels
    >>> bool((labels[pairs[:, 0]] == labels[pairs[:, 1]]).all()), len(set(pairs[:, 0].tolist()))
    (True, 24)
    """
    check_pairs(batches)
    rows = len(batches.table)
    half = rows // 2
    anchors = shuffled(batches.order_seed, epoch // 2, rows)
    anchors = anchors[:half] if epoch % 2 == 0 else anchors[rows - half :]
    partners = _partners(batches.table.labels.cpu(), anchors, batches.order_seed, epoch)
    return torch.stack([anchors, partners], 1).flatten()


def check_pairs(batches: Batches) -> None:
    """Make sure that every process gets whole pairs of each batch.

    Raises:
        DataError: its share of a batch is odd.
    """
    share = batches.batch_size // batches.world
    if share % 2:
        where = f" on each of {batches.world} processes" if batches.world > 1 else ""
        raise DataError(
            f"a batch of {batches.batch_size} rows is {share} rows{where}, which are no whole "
            f"pairs; choose a batch that is a multiple of {2 * batches.world}, and at most the "
            f"number of training rows ({len(batches.table)})"
        )


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
