"""Where two networks that were trained with the same seeds disagree, row by row."""

from torch import Tensor


def won_and_lost(mine: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that one gets right in more seeds than the other, and the reverse.

    Both are sorted by the number of seeds in which only one of them is right, then by row.

    Shapes:
        mine, theirs: [seeds, N], 0 or 1, the same seeds in the same order.

    >>> import torch
    >>> won_and_lost(torch.tensor([[1, 0, 1]]), torch.tensor([[0, 1, 1]]))
    (tensor([0]), tensor([1]))
    """
    ahead = mine.long().sum(0) - theirs.long().sum(0)
    order = ahead.sort(descending=True, stable=True)
    back = (-ahead).sort(descending=True, stable=True)
    return order.indices[order.values > 0], back.indices[back.values > 0]
