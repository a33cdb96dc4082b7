"""Similarities of the examples of a batch: products, cosine and Gaussian kernels; one value, [].

Two published losses are called correlation congruence: `correlation_gap` and `neighbour_products`.
"""

import math
from functools import partial

import torch
from torch import Tensor

from stillhouse.functional.embeddings import directions
from stillhouse.functional.numerics import bounded, by_anchors


def similarity_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """Which examples excite the same features is as in the teacher: rows of their products.

    ``sum_ij (g_s(i, j) - g_t(i, j))^2 / B^2``, with ``g(i) = G(i) / |G(i)|`` a row of
    ``G = A A^T`` at unit length and A the batch, an example per row. Scale does not count, and the
    widths may differ. Nothing is centred: of features that are never negative (after a ReLU) all
    products are positive, and the rows of both sides are alike from the start.

    Shapes:
        student, teacher: [B, ...] maps or embeddings, each of its own shape; returns [], float32.

    Paper: Tung & Mori, "Similarity-Preserving Knowledge Distillation", arXiv 1907.09682.

    Differs from the authors' code: none was released by them; it is the value of the benchmark of
        CRD, where it is said to be verified by the author. Examples without any feature have rows
        of zeros and give no gradient.

    >>> import torch
    >>> s, t = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> round(similarity_gap(s, t).item(), 4)
    0.2929
    """
    mine, theirs = student.flatten(1).float(), teacher.flatten(1).float()
    return by_anchors(_row_gaps, mine, theirs, width=len(mine)) / len(mine) ** 2


def cosine_kernel_kl(student: Tensor, teacher: Tensor, *, eps: float = 1e-7) -> Tensor:
    """Who is near whom, as probabilities, is as in the teacher: a KL of cosine kernels.

    ``mean_ij q_t(i, j) log((q_t(i, j) + eps) / (q_s(i, j) + eps))``, with ``q(i, j) = k(i, j) /
    sum_j k(i, j)`` and ``k(i, j) = (cos(x_i, x_j) + 1) / 2``, j = i included. The mean over B^2
    pairs is the KL per example divided by B once more: at B 64 it is about 1e-5, hence weights
    like 30000. Widths may differ.

    Shapes:
        student, teacher: [B, ...] embeddings, each of its own width; returns [], float32.

    Args:
        student: embeddings of the learner.
        teacher: embeddings of the teacher.
        eps: above 0, beside the probabilities in the logarithm. 1e-7: the authors' code.

    Paper: Passalis & Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer",
        arXiv 1803.10837.

    Differs from the authors' code: the same value up to rounding; no eps beside the lengths: an
        embedding of zeros has cosine 0 with anything, and no gradient.

    >>> import torch
    >>> s, t = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> round(cosine_kernel_kl(s, t).item(), 4)
    0.0294
    """
    formula = partial(_kernel_kl, eps=eps)
    mine, theirs = directions(student), directions(teacher)
    return by_anchors(formula, mine, theirs, width=len(mine)) / len(mine) ** 2


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


def _row_gaps(anchors: slice, student: Tensor, teacher: Tensor) -> Tensor:
    mine, theirs = (directions(x[anchors] @ x.T) for x in (student, teacher))
    return (mine - theirs).square().sum()


def _kernel_kl(anchors: slice, student: Tensor, teacher: Tensor, *, eps: float) -> Tensor:
    mine, theirs = (_probabilities(x[anchors] @ x.T) for x in (student, teacher))
    return (theirs * torch.log((theirs + eps) / (mine + eps))).sum()


def _probabilities(cosines: Tensor) -> Tensor:
    kernel = (bounded(cosines, -1.0, 1.0) + 1.0) / 2.0
    return kernel / kernel.sum(1, keepdim=True)


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
