"""PKT: the loop by hand, and taps in place of the embedding."""

import pytest
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_tiny
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.wiring import wire
from stillhouse.methods import pkt


def divergence(mine: Tensor, theirs: Tensor) -> Tensor:
    def probabilities(x: Tensor) -> Tensor:
        cosines = F.cosine_similarity(x[:, None], x[None], dim=2)
        return (cosines + 1) / (cosines + 1).sum(1, keepdim=True)

    q, p = probabilities(theirs), probabilities(mine)
    return (q * ((q + 1e-7) / (p + 1e-7)).log()).mean()


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    gaps = []

    def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
        _, mine, logits = of_tiny(nets["student"], batch)
        gaps.append(divergence(mine, frozen(of_tiny, nets["teacher"], batch)[1]))
        return labels(logits, batch) + 300.0 * gaps[-1]

    stage = pkt(tiny_net(4, 1), tiny_net(6, 2), weight=300.0)
    _, fitted = equals_by_hand(stage, train, objective, tolerance=(1e-5, 1e-4))
    mean = sum(gaps[-len(train) :]).item() / len(train)
    assert fitted.history[-1]["terms"]["neighbours"] == pytest.approx(mean, rel=1e-3)


def test_a_tap_may_be_named_in_place_of_the_embedding(train: Batches) -> None:
    stage = pkt(tiny_net(4, 1), tiny_net(6, 2), student_feature="bn", teacher_feature="relu")
    assert {"student.bn", "teacher.relu"} <= set(wire(stage, train.sample()).seen)
