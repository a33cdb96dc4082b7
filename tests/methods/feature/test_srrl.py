"""SRRL: the objective by hand, what learns, what it refuses."""

import pytest
import torch
import torch.nn.functional as F
from stage_by_hand import Nets, equals_by_hand
from torch import Tensor, nn

from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import WiringError
from stillhouse.methods import srrl
from stillhouse.testing.toy import ToyNet, taught, toy_batches, untaught


def last(net: ToyNet, image: Tensor) -> Tensor:
    return net.down(net.relu(net.bn(net.conv(image))))


def objective(nets: Nets, image: Tensor, label: Tensor, epoch: float) -> Tensor:
    student, teacher = nets["student"], nets["teacher"]
    f = last(student, image)
    logits = student.fc(student.drop(f.mean((2, 3))))
    conv, bn, _ = nets["regressed"].layers
    z = bn(F.conv2d(f, conv.weight)).relu().mean((2, 3))
    with torch.no_grad():
        target = last(teacher, image).mean((2, 3))
        theirs = target @ teacher.fc.weight.T + teacher.fc.bias
    again = z @ teacher.fc.weight.detach().T + teacher.fc.bias.detach()
    return (
        0.5 * F.cross_entropy(logits, label)
        + 2.0 * F.mse_loss(z, target)
        + 3.0 * F.mse_loss(again, theirs)
    )


def test_it_equals_a_hand_written_loop(platform: Platform) -> None:
    stage = srrl(
        untaught(4), taught(6), label_weight=0.5, feature_weight=2.0, regression_weight=3.0
    )
    equals_by_hand(stage, toy_batches(), platform, objective)


def test_the_teachers_head_stays_and_the_regressor_is_dropped(platform: Platform) -> None:
    student, teacher, train = untaught(4), taught(6), toy_batches()
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    fitted = fit(srrl(student, teacher), train, settings=Settings(epochs=1), platform=platform)
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
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


def test_it_needs_the_teachers_own_head() -> None:
    with pytest.raises(WiringError, match="srrl: the teacher must be a model or a Role called"):
        srrl(untaught(4), Role("big", taught(6)))
