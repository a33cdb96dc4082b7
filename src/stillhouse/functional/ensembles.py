"""Several answers to learn from: how much each counts, one value per example."""

import torch
import torch.nn.functional as F
from torch import Tensor


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
    log_s = F.log_softmax(student.float() / temperature, 1)[:, None]
    log_t = F.log_softmax(teacher.float() / temperature, 2)
    each = F.kl_div(log_s.expand_as(log_t), log_t, reduction="none", log_target=True).sum(2)
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
