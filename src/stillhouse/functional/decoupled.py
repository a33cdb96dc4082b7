"""The label's class apart from the others: formulas on class scores, one value per example."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.classes import check_classes, divergence
from stillhouse.functional.numerics import by_rows

NEVER = torch.finfo(torch.float32).min
"""The logit of a class that is left out."""


def decoupled_kl(
    student: Tensor,
    teacher: Tensor,
    label: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    """The two parts of the softened KL, weighed apart: is it the label, and what else could it be.

    ``T^2 (alpha * TCKD + beta * NCKD)``, with ``p = softmax(z / T)``, y the label and
    ``n = softmax`` of ``z / T`` over the classes other than y::

        TCKD = p_t(y) log(p_t(y) / p_s(y)) + (1 - p_t(y)) log((1 - p_t(y)) / (1 - p_s(y)))
        NCKD = sum_{c != y} n_t(c) log(n_t(c) / n_s(c))

    The usual KL couples them: ``KL = TCKD + (1 - p_t(y)) NCKD``. Of two classes only one is not the
    label, so NCKD is 0 and the loss is alpha times `kl`.

    Shapes:
        student, teacher: [B, C] logits; label: [B] class indices; returns [B], float32, in nats
        times T squared.

    Args:
        student: logits of the learner.
        teacher: logits of the teacher.
        label: the class that counts as the target.
        alpha: of TCKD. 1.0: all settings of the authors' CIFAR-100 benchmark.
        beta: of NCKD. 8.0: the default there; 2.0 for resnet56 -> resnet20 and resnet110 ->
            resnet32, 6.0 for the pairs of VGG-13 and, of one architecture, of wide ResNets.
        temperature: T > 0. 4.0: the same benchmark.

    Paper: Zhao et al., "Decoupled Knowledge Distillation", arXiv 2203.08679.

    Differs from the authors' code: there the target is pushed out of NCKD by 1000 less on z / T,
        which leaves it in where the others are lower still; here it is left out whatever the
        logits. There TCKD is the logarithm of sums of probabilities, infinite where one of them
        rounds to 0; here it is made of log-probabilities. Elsewhere the values agree.

    >>> import torch
    >>> s, t = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[2.0, 0.0, 1.0]])
    >>> value = decoupled_kl(s, t, torch.tensor([0]), temperature=1.0)
    >>> round(value.item(), 4)
    3.6969
    """
    check_classes("decoupled_kl", student, teacher, label)
    formula = partial(_decoupled_kl, alpha=alpha, beta=beta, temperature=temperature)
    return by_rows(formula, student, teacher, label)


def normalised_kl(
    student: Tensor,
    teacher: Tensor,
    label: Tensor,
    *,
    gamma: float = 1.5,
    temperature: float = 1.0,
) -> Tensor:
    """The label as sure as the teacher is, and the other classes among themselves.

    With ``p = softmax(z)``, y the label and ``n = softmax`` of ``z / T`` over the classes other
    than y, which sums to 1 on both sides::

        -p_t(y) log p_s(y) + gamma T^2 sum_{c != y} n_t(c) log(n_t(c) / n_s(c))

    The first part is a cross-entropy, so that the loss is not 0 where the student is the teacher:
    it falls until the student is sure of the label. The second is the NCKD of `decoupled_kl`.

    Shapes:
        student, teacher: [B, C] logits; label: [B] class indices; returns [B], float32, in nats.

    Args:
        student: logits of the learner.
        teacher: logits of the teacher.
        label: the class that counts as the target.
        gamma: of the other classes. 1.5: the authors' ImageNet settings; 3.5 with T 3 in their
            CIFAR-100 setting (ResNet-34 -> ResNet-18).
        temperature: T > 0, of the other classes only. 1.0: their ImageNet settings.

    Paper: Yang et al., "From Knowledge Distillation to Self-Knowledge Distillation: A Unified
        Approach with Normalized Loss and Customized Soft Labels", arXiv 2303.13005.

    Differs from the authors' code: there the second part is a cross-entropy, larger by the entropy
        of n_t, which no gradient sees. The label is left out of n in the code as it is now; an
        earlier revision left it in.

    >>> import torch
    >>> s, t = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[2.0, 0.0, 1.0]])
    >>> round(normalised_kl(s, t, torch.tensor([0])).item(), 4)
    0.9643
    """
    check_classes("normalised_kl", student, teacher, label)
    formula = partial(_normalised_kl, gamma=gamma, temperature=temperature)
    return by_rows(formula, student, teacher, label)


def _decoupled_kl(
    student: Tensor,
    teacher: Tensor,
    label: Tensor,
    *,
    alpha: float,
    beta: float,
    temperature: float,
) -> Tensor:
    is_label = torch.arange(student.shape[1], device=student.device) == label[:, None]
    target_s, others_s = _split(student.float() / temperature, label, is_label)
    target_t, others_t = _split(teacher.float() / temperature, label, is_label)
    tckd = divergence(target_s, target_t)
    nckd = divergence(others_s, others_t)
    return (alpha * tckd + beta * nckd) * temperature**2


def _split(scaled: Tensor, label: Tensor, is_label: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of label and rest [B, 2], and of each other class among the others."""
    log_p = F.log_softmax(scaled, dim=1)
    rest = log_p.masked_fill(is_label, NEVER).logsumexp(1, keepdim=True)
    target = torch.cat([log_p.gather(1, label[:, None]), rest], dim=1)
    return target, _others(scaled, is_label)


def _normalised_kl(
    student: Tensor, teacher: Tensor, label: Tensor, *, gamma: float, temperature: float
) -> Tensor:
    s, t = student.float(), teacher.float()  # cast once: gradients add up in float32
    is_label = torch.arange(s.shape[1], device=s.device) == label[:, None]
    sure = F.softmax(t, dim=1).gather(1, label[:, None])[:, 0]
    unsure = F.cross_entropy(s, label, reduction="none")
    others_s, others_t = (_others(z / temperature, is_label) for z in (s, t))
    apart = divergence(others_s, others_t)
    return sure * unsure + gamma * temperature**2 * apart


def _others(scaled: Tensor, is_label: Tensor) -> Tensor:
    """Log-probabilities among the classes that are not the label."""
    # Finite: 0 * (NEVER - NEVER) is 0, of -inf it is nan.
    return F.log_softmax(scaled.masked_fill(is_label, NEVER), dim=1)
