"""DIST: the loop by hand in both forms."""

import pytest
import torch
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_tiny
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.methods import dist


def correlation(x: Tensor, y: Tensor) -> Tensor:
    return torch.corrcoef(torch.stack([x, y]))[0, 1]


@pytest.mark.parametrize(("form", "scale"), [("paper", 1.0), ("code", 9.0)])
def test_it_equals_a_loop_by_hand(form: str, scale: float, train: Batches) -> None:
    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        _, _, z = of_tiny(nets["student"], batch)
        _, _, target = frozen(of_tiny, nets["teacher"], batch)
        p, q = (z / 3).softmax(1), (target / 3).softmax(1)
        inter = sum(1 - correlation(a, b) for a, b in zip(p, q, strict=True)) / len(p)
        intra = sum(1 - correlation(a, b) for a, b in zip(p.T, q.T, strict=True)) / p.shape[1]
        return 0.6 * labels(z, batch) + scale * (1.2 * inter + 0.7 * intra)

    chosen = {"inter_weight": 1.2, "intra_weight": 0.7, "temperature": 3.0, "label_weight": 0.6}
    stage = dist(tiny_net(4, 1), tiny_net(6, 2), form=form, **chosen)
    equals_by_hand(stage, train, objective, epochs=3, tolerance=(1e-3, 1e-3))


def test_at_temperature_1_the_forms_are_one() -> None:
    weights = [
        [t.weight_at(0.0) for t in dist(tiny_net(), tiny_net(), form=form, temperature=1).terms()]
        for form in ("paper", "code")
    ]
    assert weights[0] == weights[1]
