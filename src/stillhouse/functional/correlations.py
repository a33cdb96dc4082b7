"""Correlation congruence: two published losses bear this name; one value per batch, []."""

import math
from functools import partial

import torch
from torch import Tensor

from stillhouse.functional.chunks import by_anchors
from stillhouse.functional.directions import directions


def correlation_gap(
    student: Tensor, teacher: Tensor, *, gamma: float = 0.4, order: int = 2
) -> Tensor:
    """Correlations of examples, by a Gaussian kernel, are as the teacher's.

    ``mean_ij (k_s(i, j) - k_t(i, j))^2``, with ``k(i, j) = exp(-2 gamma) sum_p (2 gamma)^p / p!
    cos(x_i, x_j)^p``, p from 0 to the order: the Taylor series of the Gaussian kernel
    ``exp(-gamma |a - b|^2)`` between embeddings of unit length. Widths may differ.

    Shapes:
        student, teacher: [B, ...] embeddings, each of its own width; returns [], float32.

    Args:
        student: embeddings of the learner.
        teacher: embeddings of the teacher.
        gamma: above 0, of the kernel. 0.4: the code of Knowledge-Distillation-Zoo.
        order: the last power of the series, at least 1. 2: the same.

    Paper: Peng et al., "Correlation Congruence for Knowledge Distillation", arXiv 1904.01802; its
        loss with the Gaussian kernel.

    Differs from the authors' code: none was released; the form is that of Knowledge-Distillation-
        Zoo, the same value. What RepDistiller has under this name is `neighbour_products`.

    >>> import torch
    >>> s, t = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> round(correlation_gap(s, t).item(), 4)
    0.1266
    """
    formula = partial(_kernel_gaps, gamma=gamma, order=order)
    mine, theirs = directions(student), directions(teacher)
    return by_anchors(formula, mine, theirs, width=len(mine)) / len(mine) ** 2


def neighbour_products(student: Tensor, teacher: Tensor) -> Tensor:
    """Gaps of an example and of the next one in the batch are not large in the same dimensions.

    ``mean_i sum_d |D_i(d)| |D_{i+1}(d)|``, with ``D = s - t`` and i from the first example to the
    last but one; 0 for a batch of one. Which examples are neighbours is decided by the shuffle: on
    average it is the product of the gaps of any two different examples. It relates gaps, not
    examples, and pulls each embedding to the teacher's as an L1 loss does.

    Shapes:
        student, teacher: [B, ...] embeddings of equal shape; returns [], float32.

    Paper: Peng et al., "Correlation Congruence for Knowledge Distillation", arXiv 1904.01802; the
        formula is not in the paper but in the code of the benchmark of CRD (RepDistiller).

    Differs from the authors' code: the same value; it is said there to have come from the author
        by mail. There a batch of one is nan.

    >>> import torch
    >>> s, t = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 0.0]]), torch.zeros(3, 2)
    >>> neighbour_products(s, t).item()
    1.0
    """
    gaps = (student.flatten(1).float() - teacher.flatten(1).float()).abs()
    return (gaps[:-1] * gaps[1:]).sum() / max(len(gaps) - 1, 1)


def _kernel_gaps(
    anchors: slice, student: Tensor, teacher: Tensor, *, gamma: float, order: int
) -> Tensor:
    mine, theirs = (_kernel(x[anchors] @ x.T, gamma, order) for x in (student, teacher))
    return (mine - theirs).square().sum()


def _kernel(cosines: Tensor, gamma: float, order: int) -> Tensor:
    value = torch.ones_like(cosines)
    for power in range(1, order + 1):
        value = value + (2.0 * gamma) ** power / math.factorial(power) * cosines**power
    return math.exp(-2.0 * gamma) * value
