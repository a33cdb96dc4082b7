"""Feature knowledge at several scales: maps compared as they are, and averaged to smaller ones."""

import torch.nn.functional as F
from torch import Tensor

SCALES = (4, 2, 1)
"""Positions each way of the averaged maps."""


def hierarchical_context(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error of two maps and of their averages at 4, 2 and 1 positions each way.

    ``[m(s, t) + sum_k 2^-k m(s_k, t_k)] / [1 + sum_k 2^-k]`` with m the mean squared error and k =
    1, 2, ... the scales that are smaller than the map: all three above 4 positions, at 1 none.

    Shapes:
        student, teacher: [B, C, H, W] of equal shape, or vectors [B, C], which are maps of one
            position; returns [B], float32.

    Paper: Chen et al., "Distilling Knowledge via Knowledge Review", arXiv 2104.09044.

    Differs from the authors' code: nothing; of maps that are not square the smaller side counts.

    >>> import torch
    >>> zero, map = torch.zeros(1, 1, 2, 2), torch.tensor([[[[2.0, 0.0], [0.0, 2.0]]]])
    >>> round(hierarchical_context(zero, map).item(), 4)
    1.6667
    """
    gaps = student.float() - teacher.float()
    value, weight, total = gaps.square().flatten(1).mean(1), 1.0, 1.0
    for scale in SCALES:
        if scale < min(gaps.shape[2:], default=1):
            weight /= 2.0
            total += weight
            # The average of the gap is the gap of the averages.
            coarse = F.adaptive_avg_pool2d(gaps, scale)
            value = value + weight * coarse.square().flatten(1).mean(1)
    return value / total
