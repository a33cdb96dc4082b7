"""Logit regression: the loop by hand."""

import pytest
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_tiny
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.methods import logits_mse


@pytest.mark.parametrize("label_weight", [0.0, 0.4])
def test_it_equals_a_loop_by_hand(label_weight: float, train: Batches) -> None:
    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        _, _, z = of_tiny(nets["student"], batch)
        _, _, target = frozen(of_tiny, nets["teacher"], batch)
        gap = ((z - target) ** 2).sum() / z.numel()
        return label_weight * labels(z, batch) + 1.5 * gap

    stage = logits_mse(tiny_net(4, 1), tiny_net(6, 2), weight=1.5, label_weight=label_weight)
    equals_by_hand(stage, train, objective)
