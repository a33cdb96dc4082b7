"""Ensembles: several networks' opinions as one."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def mean_of_softmaxes(*logits: Tensor) -> Tensor:
    """Log-probabilities of the mean of several networks: ``log mean_i softmax(z_i)``.

    They serve as logits: their softmax is the mean.

    Shapes:
        each: [B, C] logits; the result: [B, C], float32.

    >>> both = mean_of_softmaxes(torch.tensor([[0.0, 0.0]]), torch.tensor([[50.0, 0.0]]))
    >>> [round(p, 2) for p in both.exp()[0].tolist()]
    [0.75, 0.25]
    """
    logs = torch.stack([F.log_softmax(each.float(), 1) for each in logits])
    return torch.logsumexp(logs, 0) - math.log(len(logits))
