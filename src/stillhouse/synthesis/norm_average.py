"""Batch-norm statistics of several batches together: few images need not look like all of them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillhouse.synthesis.priors import NormDistance


class NormAverage(NormDistance):
    """`NormDistance` of a moving average over batches, of which the batch in hand is a part.

    ``sum_l |(1 - m) mean(x_l) + m a_l - running_mean_l|`` and the same for variances (L2 norms over
    channels), where ``a`` is what `follow` gathered: ``a <- m a + (1 - m) mean(x)`` after each
    batch. Until there is one, and at m = 0, it is `NormDistance`.

    Shapes:
        forward: the inputs of all layers, each [B, C, ...]; returns [], float32.

    Args:
        layers: batch norms.
        momentum: m in 0..1, without 1.

    Paper: Fang et al., "Up to 100x Faster Data-Free Knowledge Distillation", AAAI 2022.

    >>> distance = NormAverage([nn.BatchNorm2d(1)], momentum=0.5)
    >>> distance(torch.full((2, 1, 2, 2), 3.0)).item()  # 3 from the mean, 1 from the variance
    4.0
    >>> distance.follow()
    >>> distance(torch.full((2, 1, 2, 2), -3.0)).item()  # with the batch before, the mean is right
    1.0
    """

    def __init__(self, layers: Sequence[nn.Module], *, momentum: float) -> None:
        super().__init__(layers)
        self.momentum = momentum
        self.averages: list[Tensor] = []
        self._last: list[Tensor] = []

    def forward(self, *inputs: Tensor) -> Tensor:
        """The distance of the batch together with those before."""
        found: list[Tensor] = []
        last: list[Tensor] = []
        for number, x in enumerate(inputs):
            over = [0, *range(2, x.ndim)]
            var, mean = torch.var_mean(x.float(), over, correction=0)
            for what, value in (("mean", mean), ("var", var)):
                wanted = self.get_buffer(f"{what}{number}")
                found.append((self._with_before(value, len(last)) - wanted).norm())
                last.append(value.detach())
        if self.training:  # a dry run is no batch
            self._last = last
        return torch.stack(found).sum()

    def follow(self) -> None:
        """A batch is finished: what was seen of it last goes into the average."""
        self.averages = [self._with_before(value, at) for at, value in enumerate(self._last)]

    def _with_before(self, value: Tensor, at: int) -> Tensor:
        if not self.averages:
            return value
        return (1 - self.momentum) * value + self.momentum * self.averages[at]
