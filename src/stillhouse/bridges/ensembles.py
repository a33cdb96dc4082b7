"""Ensembles: several networks' opinions as one.

Those that read the label are targets to learn from, no way of inference.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.classes import log_sum_exp


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
    return log_sum_exp(logs, 0) - math.log(len(logits))


def mean_logits(*logits: Tensor) -> Tensor:
    """The mean of several networks' logits.

    Shapes:
        each: [B, C] logits; the result: [B, C], float32.

    >>> mean_logits(torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 2.0]]))
    tensor([[2., 1.]])
    """
    return torch.stack([each.float() for each in logits]).mean(0)


def least_logits(label: Tensor, *logits: Tensor) -> Tensor:
    """Of each class the least logit of several networks, counted from that of the label.

    ``min_i (z_i(c) - z_i(y))``: the label has 0, and another class gets what the network gives it
    that believes in it least.

    Shapes:
        label: [B] class indices; each: [B, C] logits; the result: [B, C], float32.

    >>> z = torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[0.0, -1.0, -3.0]])
    >>> least_logits(torch.tensor([0]), *z).tolist()
    [[0.0, -2.0, -3.0]]
    """
    stacked = torch.stack([each.float() for each in logits])
    return (stacked - stacked.gather(2, _places(label, stacked))).amin(0)


def best_logits(label: Tensor, *logits: Tensor) -> Tensor:
    """For each example the logits of the network with the least cross-entropy.

    Shapes:
        label: [B] class indices; each: [B, C] logits; the result: [B, C], float32.

    >>> z = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, -5.0]])
    >>> best_logits(torch.tensor([0]), *z).tolist()
    [[1.0, -5.0]]
    """
    stacked = torch.stack([each.float() for each in logits])
    belief = F.log_softmax(stacked, 2).gather(2, _places(label, stacked))
    best = belief.argmax(0, keepdim=True).expand_as(stacked[:1])
    return stacked.gather(0, best)[0]


def linear_logits(label: Tensor, *logits: Tensor) -> Tensor:
    """The mixture of several networks' logits with the least cross-entropy on this batch.

    ``sum_i a_i z_i`` with the a of ``min_a mean_b CE(sum_i a_i z_i, y)``, all a_i at least 0, their
    sum 1. The problem is convex: mass is moved between two networks at a time to where the slope
    is 0 (bisection), once for two networks, in some rounds over all pairs for more.

    Shapes:
        label: [B] class indices; each: [B, C] logits; the result: [B, C], float32.

    >>> z = torch.tensor([[1.0, 0.0], [0.0, 0.0]])  # each is sure of one of two examples
    >>> mixed = linear_logits(torch.tensor([0, 0]), z, z.flip(0))
    >>> [round(value, 3) for value in mixed[:, 0].tolist()]
    [0.5, 0.5]
    """
    stacked = torch.stack([each.detach().float() for each in logits])
    count = len(stacked)
    pairs = [(i, j) for i in range(count) for j in range(i)]
    shares = torch.full((count,), 1.0 / count, device=stacked.device)
    at = torch.arange(count, device=stacked.device)
    for _ in range(1 if len(pairs) == 1 else ROUNDS):
        for i, j in pairs:
            move = _moved(stacked, shares, label, i, j)
            shares = shares + torch.where(at == i, move, torch.where(at == j, -move, 0.0))
    return torch.einsum("n,nbc->bc", shares, stacked)


ROUNDS, HALVINGS = 4, 15
"""Of `linear_logits`: enough for three decimals of the shares."""


def _moved(stacked: Tensor, shares: Tensor, label: Tensor, i: int, j: int) -> Tensor:
    """What share network i gets from j (and j loses), to the least cross-entropy."""
    way = stacked[i] - stacked[j]
    base = torch.einsum("n,nbc->bc", shares, stacked)
    wanted = way.gather(1, label[:, None]).mean()
    low, high = -shares[i], shares[j]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        rising = (torch.softmax(base + middle * way, 1) * way).sum(1).mean() > wanted
        low, high = torch.where(rising, low, middle), torch.where(rising, middle, high)
    return (low + high) / 2


def _places(label: Tensor, stacked: Tensor) -> Tensor:
    """Where the label stands in [n, B, C]."""
    return label[None, :, None].expand(len(stacked), -1, 1)
