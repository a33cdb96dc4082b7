"""SRRL: the loop by hand, what learns."""

import copy

import pytest
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_toy, same, trained
from torch import Tensor, nn

from stillhouse.engine.facts import facts_of
from stillhouse.errors import WiringError
from stillhouse.methods import srrl
from stillhouse.testing.toy import taught, toy_batches, untaught


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    _, late, logits = of_toy(nets["student"], batch)
    conv, bn, _ = nets["regressed"].layers
    z = bn(F.conv2d(late, conv.weight)).relu().mean((2, 3))
    target = frozen(of_toy, nets["teacher"], batch)[1].mean((2, 3))
    weight, bias = nets["teacher"].fc.weight.detach(), nets["teacher"].fc.bias.detach()
    return (
        0.5 * labels(logits, batch)
        + 2.0 * F.mse_loss(z, target)
        + 3.0 * F.mse_loss(z @ weight.T + bias, target @ weight.T + bias)
    )


def test_it_equals_a_loop_by_hand() -> None:
    weights = {"label_weight": 0.5, "feature_weight": 2.0, "regression_weight": 3.0}
    stage = srrl(untaught(4), taught(6), **weights)
    learning, tolerance = ["student", "regressed"], (2e-5, 2e-4)
    equals_by_hand(stage, toy_batches(), objective, learning=learning, tolerance=tolerance)


def test_the_teachers_head_stays_and_the_regressor_is_dropped() -> None:
    student, teacher = untaught(4), taught(6)
    before = copy.deepcopy(teacher)
    fitted = trained(srrl(student, teacher), toy_batches(), epochs=1)
    same(teacher, before)
    assert set(fitted.last) == {"student", "regressed"}
    assert set(fitted.last["student"]) == set(student.state_dict())


def test_values_below_0_need_no_relu() -> None:
    plain = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)
    )
    with pytest.raises(WiringError, match=r"'embedding' of the teacher has values below 0"):
        srrl(untaught(4), plain).completed(facts_of(toy_batches()))
    whole = srrl(untaught(4), plain, relu=False).completed(facts_of(toy_batches()))
    assert whole.notes["pairs"] == "down - embedding"
