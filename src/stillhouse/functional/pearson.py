"""Correlation of class probabilities: in what order and proportion, whatever mean and scale."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.classes import check_classes
from stillhouse.functional.numerics import by_rows

FLAT = 1e-6
"""Of the largest probability: a row or column that varies by less is constant."""
LEAST = 1e-30
"""A column of smaller probabilities counts as 0: the inverse of a denormal number is infinite."""


def inter_class_correlation(
    student: Tensor, teacher: Tensor, *, temperature: float = 4.0
) -> Tensor:
    """How an example's classes stand to each other: ``1 - pearson(p_s(i, :), p_t(i, :))``.

    ``p = softmax(z / T)``, correlated over the classes of one example: 0 where the student's
    probabilities rise and fall with the teacher's, 2 where they do the opposite. No T squared.
    Probabilities that are all equal correlate with nothing: 1, and no gradient.

    Shapes:
        student, teacher: [B, C] logits; returns [B], float32.

    Args:
        student: logits of the learner.
        teacher: logits of the teacher.
        temperature: T > 0. 4.0: the paper on CIFAR-100, 1.0 on ImageNet (neither checked).

    Paper: Huang et al., "Knowledge Distillation from A Stronger Teacher", arXiv 2205.10536, its
        inter-class relation.

    Differs from the authors' code: there the product of both lengths gets 1e-8 more, which shrinks
        the correlation of nearly uniform probabilities; here only those are left out whose spread
        is rounding. Its code for classification multiplies by T squared: see `dist`'s form.

    >>> import torch
    >>> s, t = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[2.0, 2.0, 0.0]])
    >>> round(inter_class_correlation(s, t, temperature=1.0).item(), 4)
    0.5
    """
    check_classes("inter_class_correlation", student, teacher)
    return by_rows(partial(_of_rows, temperature=temperature), student, teacher)


def intra_class_correlation(
    student: Tensor, teacher: Tensor, *, temperature: float = 4.0
) -> Tensor:
    """How a batch's examples stand to each other in a class: ``1 - pearson(p_s(:, j), p_t(:, j))``.

    The mean over all classes j, of ``p = softmax(z / T)`` correlated over the examples of the
    batch. No T squared. A class of which all examples are equally sure correlates with nothing and
    counts as 1, as all classes do in a batch of one. Processes and micro-batches do not see each
    other.

    Shapes:
        student, teacher: [B, C] logits; returns [], float32.

    Args:
        student: logits of the learner.
        teacher: logits of the teacher.
        temperature: T > 0. 4.0: as of `inter_class_correlation`.

    Paper: Huang et al., "Knowledge Distillation from A Stronger Teacher", arXiv 2205.10536, its
        intra-class relation.

    Differs from the authors' code: as `inter_class_correlation` does.

    >>> import torch
    >>> s = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    >>> t = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> round(intra_class_correlation(s, t).item(), 4)
    0.5
    """
    check_classes("intra_class_correlation", student, teacher)
    mine, theirs = (F.softmax(z.float() / temperature, dim=1).T for z in (student, teacher))
    return (1.0 - _pearson(mine, theirs)).mean()


def _of_rows(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    mine, theirs = (F.softmax(z.float() / temperature, dim=1) for z in (student, teacher))
    return 1.0 - _pearson(mine, theirs)


def _pearson(x: Tensor, y: Tensor) -> Tensor:
    return (_directions(x) * _directions(y)).sum(1)


def _directions(x: Tensor) -> Tensor:
    """Rows of mean 0 and length 1; rows that do not vary are 0."""
    # In units of the largest value, a constant to a correlation: squares of 1e-25 would be 0.
    largest = x.detach().amax(1, keepdim=True)
    x = x / torch.where(largest > LEAST, largest, 1.0)
    centred = x - x.mean(1, keepdim=True)
    square = centred.square().sum(1, keepdim=True)
    flat = square <= FLAT**2 * x.shape[1]
    return torch.where(flat, 0.0, centred * torch.rsqrt(torch.where(flat, 1.0, square)))
