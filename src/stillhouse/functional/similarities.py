"""Similarities of the examples of a batch, as products or probabilities; one value, []."""

from functools import partial

import torch
from torch import Tensor

from stillhouse.functional.chunks import by_anchors
from stillhouse.functional.directions import directions


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


def _row_gaps(anchors: slice, student: Tensor, teacher: Tensor) -> Tensor:
    mine, theirs = (directions(x[anchors] @ x.T) for x in (student, teacher))
    return (mine - theirs).square().sum()


def _kernel_kl(anchors: slice, student: Tensor, teacher: Tensor, *, eps: float) -> Tensor:
    mine, theirs = (_probabilities(x[anchors] @ x.T) for x in (student, teacher))
    return (theirs * torch.log((theirs + eps) / (mine + eps))).sum()


def _probabilities(cosines: Tensor) -> Tensor:
    kernel = (cosines.clamp(-1.0, 1.0) + 1.0) / 2.0
    return kernel / kernel.sum(1, keepdim=True)
