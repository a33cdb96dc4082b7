"""Shifts: the way of an example from one layer of a network to a later one."""

import torch.nn.functional as F
from torch import Tensor

from stillhouse.bridges.shapes import as_map


def layer_shift(early: Tensor, late: Tensor) -> Tensor:
    """The later feature minus the earlier one, as vectors: ``mean(late) - mean(early)``.

    Means are over positions. The wider of the two is brought to the width of the other by means
    over neighbouring channels (pairs of them, where a network doubles its width).

    Shapes:
        early, late: [B, D], [B, N, D] or [B, C, H, W]; returns [B, the smaller width], float32.

    Paper: Liu et al., "Knowledge Distillation via Instance Relationship Graph", CVPR 2019.

    Differs from the authors' code: theirs compares layers of one width only.

    >>> import torch
    >>> layer_shift(torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0, 4.0, 6.0, 8.0]])).tolist()
    [[2.0, 2.0]]
    """
    # Contiguous, so that a cached map and a live one (channels last) are summed in one order.
    before, after = (as_map(x).float().contiguous().mean((2, 3)) for x in (early, late))
    width = min(before.shape[1], after.shape[1])
    return _narrowed(after, width) - _narrowed(before, width)


def _narrowed(x: Tensor, width: int) -> Tensor:
    return x if x.shape[1] == width else F.adaptive_avg_pool1d(x[:, None], width)[:, 0]
