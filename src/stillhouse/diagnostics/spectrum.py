"""The singular values of a projector: into how many directions it maps, and how evenly.

Under batch normalisation the scale of each row of the weights is free, so compare shapes of
spectra (`effective_rank`, `share_small`), never raw singular values. Pure functions in float64.
"""

import torch
from torch import Tensor


def singular_values(weight: Tensor) -> Tensor:
    """The singular values of a layer's weight, largest first.

    Shapes:
        weight: [out, in] of a Linear, or [out, in, ...] of a convolution, which is flattened to
            [out, in * ...]; returns [min(out, in)], float64, on the CPU.

    >>> singular_values(torch.tensor([[0.0, 2.0], [3.0, 0.0]])).round(decimals=6).tolist()
    [3.0, 2.0]
    """
    found: Tensor = torch.linalg.svdvals(weight.detach().flatten(1).double().cpu())
    return found


def effective_rank(sigma: Tensor) -> float:
    """How many directions count: ``exp(-sum p ln p)`` with ``p = sigma / sum sigma``.

    From 1 (one direction) to the number of values (all equal); 0.0 when all are 0.

    Shapes:
        sigma: [R], none negative.

    Paper: Roy & Vetterli, "The effective rank: a measure of effective dimensionality",
        EUSIPCO 2007.

    >>> round(effective_rank(torch.tensor([5.0, 5.0, 5.0, 0.0])), 6)
    3.0
    """
    sigma = sigma.detach().double()
    total = sigma.sum()
    if total == 0:
        return 0.0
    entropy: Tensor = torch.special.entr(sigma / total).sum()
    return entropy.exp().item()


def share_small(sigma: Tensor, *, below: float = 0.1) -> float:
    """The share of singular values below a share of the largest: ``mean(sigma < below * max)``.

    Shapes:
        sigma: [R].

    Args:
        below: in 0..1, relative to the largest. 0.1: our choice; the paper shows whole spectra.

    >>> share_small(torch.tensor([10.0, 2.0, 0.9, 0.1]))
    0.5
    """
    sigma = sigma.detach().double()
    return (sigma < below * sigma.max()).double().mean().item()
