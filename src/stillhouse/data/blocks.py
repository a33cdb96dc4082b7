"""Blocks: rows that lie together, of which so many are shuffled at once.

Where images lie in archives that do not fit on a machine together, an order of all rows would fetch
an archive for each image. Here the archives are put in a new order each epoch, and the rows of so
many neighbours are shuffled; it is a pure function of (seed, epoch), as any order.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.data.tables import SampleTable, Table
from stillhouse.data.views import keys, shuffled

_BLOCKS = (1 << 32) + 1
"""The draw that shuffles blocks; that of rows is one below."""


@dataclass(frozen=True)
class Blocks:
    """Which block each row of a dataset is in, and how many are shuffled together.

    Shapes:
        of: int64 [N], from 0.
    """

    of: Tensor
    together: int


def blocks_of(table: Table) -> Blocks | None:
    """The blocks of the rows of a table; None where all rows are shuffled together."""
    found = getattr(table.dataset, "blocks", None) if isinstance(table, SampleTable) else None
    if not isinstance(found, Blocks):
        return None
    rows = table.rows if isinstance(table, SampleTable) else torch.arange(len(table))
    return Blocks(found.of[rows], found.together)


def shuffled_by_blocks(seed: int, epoch: int, blocks: Blocks) -> Tensor:
    """The order of an epoch: blocks shuffled, then the rows of each ``together`` neighbours.

    With as many together as there are, or more, it is `views.shuffled`.

    Shapes:
        returns int64 [N], a permutation.

    >>> blocks = Blocks(torch.arange(12) // 3, together=2)
    >>> order = shuffled_by_blocks(0, 1, blocks)
    >>> order.sort().values.tolist() == list(range(12))
    True
    >>> [sorted(set(blocks.of[part].tolist())) for part in order.split(6)]
    [[2, 3], [0, 1]]
    """
    rows = shuffled(seed, epoch, len(blocks.of))
    count = int(blocks.of.max()) + 1
    drawn = torch.argsort(keys(seed, torch.arange(count), epoch, _BLOCKS), stable=True)
    place = torch.empty_like(drawn)
    place[drawn] = torch.arange(count)
    window = place[blocks.of] // blocks.together
    return rows[torch.argsort(window[rows], stable=True)]
