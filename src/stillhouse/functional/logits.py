"""Response knowledge: formulas on class scores (logits), one value per example."""

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(student: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy with the hard label: ``-log softmax(z)_y``.

    Shapes:
        student: [B, C] logits; label: [B] class indices; returns [B], float32, in nats.

    >>> import torch
    >>> round(cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).item(), 4)
    0.1269
    """
    return F.cross_entropy(student.float(), label, reduction="none")


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
    log_s = F.log_softmax(student.float() / temperature, dim=1)
    log_t = F.log_softmax(teacher.float() / temperature, dim=1)
    return F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(1) * temperature**2
