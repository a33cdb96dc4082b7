"""Bridges around heads: another model's classifier, and mixtures of two heads."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn


def match_width(learner: Size, target: Size) -> nn.Module:
    """Nothing when the widths agree, else a linear map from the learner's width to the target's.

    Shapes:
        learner: [..., d_s]; target: [..., d_t].

    >>> match_width(Size([8, 3]), Size([8, 3])), match_width(Size([8, 3]), Size([8, 5]))
    (Identity(), Linear(in_features=3, out_features=5, bias=True))
    """
    if learner[-1] == target[-1]:
        return nn.Identity()
    return nn.Linear(learner[-1], target[-1])


def mixture(alpha: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Log-probabilities of a mixture of two heads: ``log((1 - alpha) p_own + alpha p_other)``.

    They serve as logits: their softmax is the mixture.

    Shapes:
        own, other: [B, C] logits; the result: [B, C].

    >>> mixed = mixture(0.5)(torch.tensor([[0.0, 0.0]]), torch.tensor([[50.0, 0.0]]))
    >>> [round(p, 2) for p in mixed.exp()[0].tolist()]
    [0.75, 0.25]
    """
    return partial(_mix, alpha=alpha)


def _mix(own: Tensor, other: Tensor, *, alpha: float) -> Tensor:
    log_own, log_other = F.log_softmax(own.float(), 1), F.log_softmax(other.float(), 1)
    if alpha in (0.0, 1.0):
        return log_other if alpha else log_own
    return torch.logaddexp(log_own + math.log1p(-alpha), log_other + math.log(alpha))
