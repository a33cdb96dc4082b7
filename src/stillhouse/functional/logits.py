"""Response knowledge: formulas on class scores (logits), one value per example."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.classes import check_classes, divergence
from stillhouse.functional.numerics import by_rows

ROUNDING = 1e-6
"""Of the largest logit: a standard deviation below that is what rounding left of equal ones."""


def cross_entropy(student: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy with the hard label: ``-log softmax(z)_y``.

    Shapes:
        student: [B, C] logits; label: [B] class indices; returns [B], float32, in nats.

    >>> import torch
    >>> round(cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).item(), 4)
    0.1269
    """
    check_classes("cross_entropy", student, label=label)
    return by_rows(_cross_entropy, student, label)


def kl(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> Tensor:
    """Kullback-Leibler divergence of softened classes, teacher first, times T squared.

    ``T^2 * sum_c p_t(c) * (log p_t(c) - log p_s(c))`` with ``p = softmax(z / T)``: summed over
    classes, one value per example. T squared is inside, so that the gradient keeps its size when
    the temperature changes, and it is there at every weight.

    Shapes:
        student, teacher: [B, C] logits; returns [B], float32, in nats times T squared.

    Args:
        student: logits of the learner.
        teacher: logits of the teacher.
        temperature: T > 0. 4.0: the setting of the CIFAR-100 benchmark of CRD (Tian et al., 2020).

    Paper: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network",
        arXiv 1503.02531, section 2.

    Differs from the authors' code: none was released. Toolkits disagree on the reduction (mean
        over B*C in some); here it is always sum over classes, mean over examples (by the Term).

    >>> import torch
    >>> s, t = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> round(kl(s, t, temperature=1.0).item(), 4)
    0.4621
    """
    check_classes("kl", student, teacher)
    return by_rows(partial(_kl, temperature=temperature), student, teacher)


def standardised_kl(student: Tensor, teacher: Tensor, *, temperature: float = 2.0) -> Tensor:
    """`kl` between standardised logits: neither their mean nor their spread is to be learnt.

    ``T^2 * sum_c p_t(c) * (log p_t(c) - log p_s(c))`` with ``p = softmax(z' / T)`` and
    ``z' = (z - mean z) / (std z + 1e-7)``, each example by its own mean and unbiased standard
    deviation over classes. The student may answer at a scale of its own.

    Shapes:
        student, teacher: [B, C] logits; returns [B], float32, in nats times T squared.

    Args:
        student: logits of the learner.
        teacher: logits of the teacher.
        temperature: T > 0, of logits of variance 1. 2.0: the authors' CIFAR-100 command for KD.

    Paper: Sun et al., "Logit Standardization in Knowledge Distillation", arXiv 2403.01427.

    Differs from the authors' code: logits that are all equal up to rounding have no spread: they
        stay at 0 and give no gradient (there, one of up to 1e7). Elsewhere the values agree.

    >>> import torch
    >>> s, t = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> round(standardised_kl(s, t, temperature=1.0).item(), 4)
    0.8611
    """
    check_classes("standardised_kl", student, teacher)
    return by_rows(partial(_standardised_kl, temperature=temperature), student, teacher)


def ensemble_kl(
    student: Tensor, teacher: Tensor, share: Tensor, *, temperature: float = 4.0
) -> Tensor:
    """The softened KL from several teachers, each with its share.

    ``T^2 sum_m w_m KL(p_m^T, p_s^T)``, which differs from the KL of the averaged response
    ``sum_m w_m p_m^T`` by what does not depend on the student: the gradients are equal.

    Shapes:
        student: [B, C] logits; teacher: [B, M, C] logits of M teachers; share: [B, M], of each
        example's teachers; returns [B], float32, in nats times T squared.

    Args:
        student: logits of the learner.
        teacher: logits of the teachers.
        share: weights, by custom of sum 1.
        temperature: T > 0. 4.0: as in `kl`.

    Paper: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network",
        arXiv 1503.02531: an ensemble as the teacher.

    Differs from the authors' code: none was released.

    >>> s, t = torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> round(ensemble_kl(s, t, torch.tensor([[0.5, 0.5]]), temperature=1.0).item(), 4)
    0.2311
    """
    check_classes("ensemble_kl", student, teacher)
    log_s = F.log_softmax(student.float() / temperature, 1)[:, None]
    log_t = F.log_softmax(teacher.float() / temperature, 2)
    each = divergence(log_s.expand_as(log_t), log_t, 2)
    return (share.float() * each).sum(1) * temperature**2


def confidence_shares(teacher: Tensor, label: Tensor) -> Tensor:
    """How much each teacher counts for an example: less, the less it believes the label.

    ``w_m = (1 - softmax_m(CE_m)) / (M - 1)``, with CE_m the cross-entropy of teacher m with the
    label: the shares of an example sum to 1. One teacher has all.

    Shapes:
        teacher: [B, M, C] logits; label: [B] class indices; returns [B, M], float32.

    Paper: Zhang et al., "Confidence-Aware Multi-Teacher Knowledge Distillation", arXiv 2201.00007,
        its loss of predictions; written from memory of the paper and not checked against it.

    >>> z = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]])
    >>> [round(w, 4) for w in confidence_shares(z, torch.tensor([0]))[0].tolist()]
    [0.8808, 0.1192]
    """
    count = teacher.shape[1]
    if count == 1:
        return torch.ones_like(teacher[:, :, 0], dtype=torch.float32)
    log_p = F.log_softmax(teacher.float(), 2)
    losses = -log_p.gather(2, label[:, None, None].expand(-1, count, 1)).squeeze(2)
    return (1 - F.softmax(losses, 1)) / (count - 1)


def _cross_entropy(student: Tensor, label: Tensor) -> Tensor:
    return F.cross_entropy(student.float(), label, reduction="none")


def _kl(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    log_s = F.log_softmax(student.float() / temperature, dim=1)
    log_t = F.log_softmax(teacher.float() / temperature, dim=1)
    return divergence(log_s, log_t) * temperature**2


def _standardised_kl(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    return _kl(_standardised(student), _standardised(teacher), temperature=temperature)


def _standardised(logits: Tensor) -> Tensor:
    never = logits == -torch.inf  # such a class is none: it has no part in mean and spread
    z = logits.float().masked_fill(never, 0.0)
    count = z.shape[1] - never.sum(1, keepdim=True)
    centred = (z - z.sum(1, keepdim=True) / count.clamp(min=1)).masked_fill(never, 0.0)
    variance = centred.square().sum(1, keepdim=True) / (count - 1).clamp(min=1)
    # What rounding leaves of equal logits is no spread; its gradient would be in millions.
    flat = variance <= (ROUNDING * z.detach().abs().amax(1, keepdim=True)).square()
    spread = torch.sqrt(torch.where(flat, 1.0, variance))
    return torch.where(flat, 0.0, centred / (spread + 1e-7)).masked_fill(never, -torch.inf)
