"""MGD: the objective by hand, with the mask of each step."""

import pytest
import torch
import torch.nn.functional as F
from stage_by_hand import Nets, equals_by_hand
from torch import Tensor

from stillhouse.engine.facts import facts_of
from stillhouse.engine.platform import Platform
from stillhouse.errors import RecipeError
from stillhouse.methods import mgd
from stillhouse.testing import check_method
from stillhouse.testing.toy import ToyNet, taught, toy_batches, untaught

SHARE = 0.3


def last(net: ToyNet, image: Tensor) -> Tensor:
    return net.down(net.relu(net.bn(net.conv(image))))


def objective(nets: Nets, image: Tensor, label: Tensor, epoch: float) -> Tensor:
    student = nets["student"]
    f = last(student, image)
    logits = student.fc(student.drop(f.mean((2, 3))))
    align, _, first, _, second = nets["generated"].layers
    aligned = F.conv2d(f, align.weight, align.bias)
    kept = (torch.rand(len(image), 6)[:, :, None, None] >= SHARE).float()
    hidden = F.conv2d(aligned * kept, first.weight, first.bias, padding=1).relu()
    made = F.conv2d(hidden, second.weight, second.bias, padding=1)
    with torch.no_grad():
        target = last(nets["teacher"], image)
    return 0.5 * F.cross_entropy(logits, label) + 0.002 * (made - target).square().sum() / len(
        image
    )


def test_it_equals_a_hand_written_loop(platform: Platform) -> None:
    stage = mgd(untaught(4), taught(6), weight=0.002, masked=SHARE, label_weight=0.5)
    nets = equals_by_hand(stage, toy_batches(), platform, objective)
    assert set(nets) == {"student", "teacher", "generated"}


def test_other_taps_keep_the_contract() -> None:
    taps = {"student_feature": "down", "teacher_feature": "relu", "weight": 1e-3}
    check_method(mgd, options=taps, widths=[(4, 6)])


def test_its_defaults() -> None:
    stage = mgd(untaught(4), taught(6)).completed(facts_of(toy_batches()))
    assert [(t.name, t.weight) for t in stage.terms()] == [("label", 1.0), ("generation", 7e-5)]
    assert stage.notes == {"pairs": "down - down"}
    with pytest.raises(RecipeError, match=r"masked is 1\.5; it must be at most 1"):
        mgd(untaught(4), taught(6), masked=1.5)
