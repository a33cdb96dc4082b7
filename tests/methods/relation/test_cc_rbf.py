"""CC with a Gaussian kernel: the loop by hand."""

import math

import pytest
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_tiny
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.methods import cc_rbf


def gap(mine: Tensor, theirs: Tensor) -> Tensor:
    def kernel(x: Tensor) -> Tensor:
        c = F.cosine_similarity(x[:, None], x[None], dim=2)
        return math.exp(-1.2) * (1 + 1.2 * c + 0.72 * c**2 + 0.288 * c**3)

    return (kernel(mine) - kernel(theirs)).square().mean()


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    """At gamma 0.6 and the third order: (2 gamma)^p / p! is 1.2, 0.72, 0.288."""
    gaps = []

    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        _, mine, logits = of_tiny(nets["student"], batch)
        gaps.append(gap(mine, frozen(of_tiny, nets["teacher"], batch)[1]))
        return labels(logits, batch) + 10.0 * gaps[-1]

    stage = cc_rbf(tiny_net(4, 1), tiny_net(6, 2), gamma=0.6, order=3, weight=10.0)
    _, fitted = equals_by_hand(stage, train, objective, tolerance=(1e-5, 1e-4))
    mean = sum(gaps[-len(train) :]).item() / len(train)
    assert fitted.history[-1]["terms"]["correlation"] == pytest.approx(mean, rel=1e-3)
