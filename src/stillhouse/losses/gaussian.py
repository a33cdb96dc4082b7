"""Likelihood of a teacher's map under a Gaussian whose variances, one per channel, learn."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import WiringError

INITIAL = 5.0
EPSILON = 1e-5


class GaussianNLL(nn.Module):
    """Minus the log-likelihood of the teacher: ``mean_d [(s_d - t_d)^2 / v_c + log v_c] / 2``.

    ``v_c = softplus(a_c) + epsilon`` is the variance of the channel c of d, and a_c learns. The
    constant ``log(2 pi) / 2`` is left out. Where v_c has learnt the mean squared gap of its channel
    it is that of a channel as well as the student can know it: channels that it cannot know weigh
    little.

    Args:
        channels: of the maps.
        initial: variance at the start. 5.0: the CIFAR-100 benchmark of CRD.
        epsilon: smallest variance. 1e-5: the same.

    Raises:
        WiringError: the variance at the start is not above the smallest.

    Shapes:
        student, teacher: [B, C, ...] of equal shape; returns [B], float32.

    Paper: Ahn et al., "Variational Information Distillation for Knowledge Transfer",
        arXiv 1904.05835.

    Differs from the authors' code: written from the port in the CIFAR-100 benchmark of CRD. Another
        toolkit keeps a_c out of the optimiser, so that its variances stay at 5; here they learn.

    >>> loss = GaussianNLL(1, initial=2.0)
    >>> round(loss(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item(), 4)
    1.3466
    """

    def __init__(
        self, channels: int, *, initial: float = INITIAL, epsilon: float = EPSILON
    ) -> None:
        super().__init__()
        if not initial > epsilon:
            said = f"initial is {initial}; it must be above epsilon, {epsilon}"
            raise WiringError("GaussianNLL", [said])
        self.epsilon = epsilon
        self.raw = nn.Parameter(torch.full((channels,), math.log(math.expm1(initial - epsilon))))

    def variance(self) -> Tensor:
        """The variance of each channel, [C]."""
        return F.softplus(self.raw.float()) + self.epsilon

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Minus the log-likelihood of each example."""
        variance = self.variance().view(-1, *[1] * (student.ndim - 2))
        gaps = (student.float() - teacher.float()).square()
        return ((gaps / variance + variance.log()) / 2).flatten(1).mean(1)
