"""Channels that go: the smallest ones, with all that feeds or reads them."""

import sys

import pytest
import torch
from torch import nn

from stillhouse.errors import MissingExtra, ModelError
from stillhouse.models import build_model, weights_fingerprint
from stillhouse.students.pruning import prune

IMAGE = torch.zeros(1, 3, 32, 32)


@pytest.fixture
def package():
    return pytest.importorskip("torch_pruning", reason="torch-pruning is not installed")


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_2", "vgg8", "mobilenet_v2", "convnet-8-16-32"])
def test_half_of_the_channels_is_a_quarter_of_the_weights(package, name: str) -> None:
    teacher = build_model(name, classes=10)
    before = weights_fingerprint(teacher)
    made = prune(teacher, IMAGE, ratio=0.5)
    share = [sum(p.numel() for p in net.parameters()) for net in (made.module, teacher)]
    assert 0.24 < share[0] / share[1] < 0.3
    assert made.module.fc.out_features == 10
    assert made.module.fc.in_features == teacher.fc.in_features // 2
    assert [kept.path for kept in made.kept if kept.why == "asked for"] == []
    assert made.module(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert weights_fingerprint(teacher) == before
    assert made.module.training
    assert all(change.after < change.before for change in made.changes)


def test_the_smallest_channels_go_and_the_others_stay(package) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 900, 2))
    with torch.no_grad():
        net[0].weight.mul_(torch.tensor([1.0, 100.0, 0.01, 10.0])[:, None, None, None])
    made = prune(net, IMAGE, ratio=0.5).module
    assert torch.equal(made[0].weight, net[0].weight[[1, 3]])
    wanted = net[3].weight.reshape(2, 4, 900)[:, [1, 3]].flatten(1)
    assert torch.equal(made[3].weight, wanted)


def test_widths_do_not_depend_on_the_weights_and_the_student_on_them_alone(package) -> None:
    first, other = (build_model("resnet8", classes=10) for _ in range(2))
    made = [prune(net, IMAGE, ratio=0.3).module for net in (first, first, other)]
    shapes = [{k: v.shape for k, v in net.state_dict().items()} for net in made]
    assert shapes[0] == shapes[1] == shapes[2]
    assert weights_fingerprint(made[0]) == weights_fingerprint(made[1])
    assert weights_fingerprint(made[0]) != weights_fingerprint(made[2])


def test_flags_of_the_teacher_are_the_students(package) -> None:
    teacher = build_model("convnet-8-16", classes=10).eval()
    teacher.fc.bias.requires_grad_(False)
    made = prune(teacher, IMAGE, ratio=0.5).module
    assert not made.training
    assert [name for name, p in made.named_parameters() if not p.requires_grad] == ["fc.bias"]


def test_what_cannot_be_pruned_is_said(package) -> None:
    with pytest.raises(ModelError, match=r"cannot prune ShuffleNet.*derive: low_rank"):
        prune(build_model("shufflenet_v2", classes=10), IMAGE, ratio=0.5)
    with pytest.raises(ModelError, match="ratio is 0"):
        prune(build_model("resnet8", classes=10), IMAGE, ratio=0)
    with pytest.raises(ModelError, match="no module 'head'"):
        prune(build_model("resnet8", classes=10), IMAGE, ratio=0.5, keep=["head"])


def test_without_the_package_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(MissingExtra, match=r"stillhouse\[prune\]"):
        prune(build_model("resnet8", classes=10), IMAGE, ratio=0.5)


@pytest.mark.parametrize(
    ("name", "ratio", "least"), [("resnet8w8", 0.1, 0.126), ("mlp-10", 0.1, 0.101)]
)
def test_a_ratio_that_leaves_a_layer_no_channel_is_refused(package, name, ratio, least) -> None:
    """torch-pruning would leave that layer whole, and a smaller ratio give a larger network."""
    net = build_model(name, classes=10, size=32)
    with pytest.raises(ModelError, match=rf"leaves no channel of '\w+.*smallest ratio .* {least}"):
        prune(net, IMAGE, ratio=ratio)
    assert prune(net, IMAGE, ratio=least).changes
