"""Response knowledge: formulas on class scores (logits), one value per example."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.chunks import by_rows


def cross_entropy(student: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy with the hard label: ``-log softmax(z)_y``.

    Shapes:
        student: [B, C] logits; label: [B] class indices; returns [B], float32, in nats.

    >>> import torch
    >>> round(cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).item(), 4)
    0.1269
    """
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
    return by_rows(partial(_kl, temperature=temperature), student, teacher)


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
    formula = partial(_decoupled_kl, alpha=alpha, beta=beta, temperature=temperature)
    return by_rows(formula, student, teacher, label)


def _cross_entropy(student: Tensor, label: Tensor) -> Tensor:
    return F.cross_entropy(student.float(), label, reduction="none")


def _kl(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    log_s = F.log_softmax(student.float() / temperature, dim=1)
    log_t = F.log_softmax(teacher.float() / temperature, dim=1)
    return F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(1) * temperature**2


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
    tckd = F.kl_div(target_s, target_t, reduction="none", log_target=True).sum(1)
    nckd = F.kl_div(others_s, others_t, reduction="none", log_target=True).sum(1)
    return (alpha * tckd + beta * nckd) * temperature**2


def _split(scaled: Tensor, label: Tensor, is_label: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of label and rest [B, 2], and of each other class among the others."""
    never = torch.finfo(scaled.dtype).min  # finite: 0 * (never - never) is 0, of -inf it is nan
    log_p = F.log_softmax(scaled, dim=1)
    rest = log_p.masked_fill(is_label, never).logsumexp(1, keepdim=True)
    target = torch.cat([log_p.gather(1, label[:, None]), rest], dim=1)
    return target, F.log_softmax(scaled.masked_fill(is_label, never), dim=1)
