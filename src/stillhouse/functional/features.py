"""Feature knowledge: formulas on embeddings and feature maps, one value per example."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.classes import gap

SCALES = (4, 2, 1)
"""Positions each way of the averaged maps."""


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error over all but the batch dimension: ``mean_d (s_d - t_d)^2``.

    Shapes:
        student, teacher: [B, ...] of equal shape; returns [B], float32.

    Paper: Romero et al., "FitNets: Hints for Thin Deep Nets", arXiv 1412.6550, equation 3, there
        one half of the sum.

    Differs from the authors' code: the mean in place of half the sum, so that a weight means the
        same for maps of any size.

    >>> import torch
    >>> mse(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]])).item()
    2.5
    """
    return gap(student, teacher).square().flatten(1).mean(1)


def squared_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Sum of squared errors over all but the batch dimension: ``sum_d (s_d - t_d)^2``.

    It is D times `mse`, so a weight of it is one for maps of a certain size only.

    Shapes:
        student, teacher: [B, ...] of equal shape; returns [B], float32.

    Paper: Yang et al., "Masked Generative Distillation", arXiv 2205.01529, whose weights go with
        the sum.

    Differs from the authors' code: nothing.

    >>> import torch
    >>> squared_distance(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]])).item()
    5.0
    """
    return gap(student, teacher).square().flatten(1).sum(1)


def partial_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Sum of squared errors, but of what is below 0 on both sides only where the student is above.

    ``sum_d (s_d - t_d)^2 [s_d > t_d or t_d > 0]``: behind a ReLU, how far below 0 both are makes no
    difference, so a student may go further down than its target.

    Shapes:
        student, teacher: [B, ...] of equal shape, before their activation; returns [B], float32.

    Paper: Heo et al., "A Comprehensive Overhaul of Feature Distillation", arXiv 1904.01866.

    Differs from the authors' code: the margin of the target is no part of it; see
        `stillhouse.bridges.MarginReLU`.

    >>> import torch
    >>> partial_distance(torch.tensor([[1.0, -3.0]]), torch.tensor([[3.0, -2.0]])).item()
    4.0
    """
    s, t = student.float(), teacher.float()
    counts = (s > t) | (t > 0)
    return (gap(s, t).square() * counts).flatten(1).sum(1)


def smooth_l1(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error of small gaps, absolute error of large ones: ``mean_d huber(s_d - t_d)``.

    ``huber(u) = u^2 / 2`` up to 1 and ``|u| - 1/2`` beyond: no gap pulls harder than 1 / D. The
    turn at 1 is meant for features of unit variance; normalise both sides first.

    Shapes:
        student, teacher: [B, ...] of equal shape; returns [B], float32.

    Paper: Girshick, "Fast R-CNN", arXiv 1504.08083, which named it; between projected features it
        is the distance of VkD, the successor of "Understanding the Role of the Projector in
        Knowledge Distillation", arXiv 2303.11098.

    Differs from the authors' code: the mean over dimensions, as in `mse`, which is also the default
        of PyTorch.

    >>> import torch
    >>> smooth_l1(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.5, 0.0]])).item()
    1.3125
    """
    gaps = gap(student, teacher)
    return F.smooth_l1_loss(gaps, torch.zeros_like(gaps), reduction="none").flatten(1).mean(1)


def boundary_gap(student: Tensor, teacher: Tensor, *, margin: float = 1.0) -> Tensor:
    """Units are active where the teacher's are, by a margin: a squared hinge, summed.

    ``sum_d max(0, m - s_d)^2`` where ``t_d > 0``, and ``max(0, m + s_d)^2`` elsewhere. Of the
    teacher only the sign counts, so its map after a ReLU says the same as the one before. It is not
    0 at an equal map, but where all units of the student are on their side by the margin.

    Shapes:
        student, teacher: [B, ...] of equal shape; returns [B], float32.

    Args:
        student: pre-activations of the learner.
        teacher: pre-activations, or activations that are 0 where the unit is off.
        margin: m > 0. 1.0: the benchmark of CRD.

    Paper: Heo et al., "Knowledge Transfer via Distillation of Activation Boundaries Formed by
        Hidden Neurons", arXiv 1811.03233.

    Differs from the authors' code: not compared. In the benchmark of CRD the sum is over examples
        too and then divided by their number, which is the same.

    >>> boundary_gap(torch.tensor([[0.5, 0.5, 2.0]]), torch.tensor([[3.0, 0.0, 0.1]])).item()
    2.5
    """
    mine = student.float()
    away = torch.where(teacher > 0, margin - mine, margin + mine)
    return away.relu().square().flatten(1).sum(1)


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
