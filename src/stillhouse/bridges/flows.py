"""Flows: how one layer of a network leads to the next, as a matrix of channels times channels."""

from torch import Tensor

from stillhouse.bridges.shapes import as_map, resized


def flow(early: Tensor, late: Tensor) -> Tensor:
    """The flow matrix of two maps: ``G_ij = mean_n early_i(n) late_j(n)`` over positions n.

    Of two sizes the larger map is averaged to the smaller one.

    Shapes:
        early, late: features that count as maps (`as_map`) of C and D channels; returns [B, C, D].

    Paper: Yim et al., "A Gift from Knowledge Distillation", CVPR 2017, equation 1.

    >>> import torch
    >>> flow(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[2.0, 4.0]]]])).item()
    7.0
    """
    maps = as_map(early), as_map(late)
    height, width = (min(x.shape[side] for x in maps) for side in (2, 3))
    # Plain memory first: a cached map and a live one in channels_last then give the same bits.
    a, b = (resized(x.contiguous(), (height, width)).flatten(2) for x in maps)
    return a @ b.mT / (height * width)
