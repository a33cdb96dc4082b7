"""Maps before their activation, in networks of every make."""

import pytest
import torch
from torch import nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.stage import Stage
from stillhouse.errors import WiringError
from stillhouse.models import build_model
from stillhouse.pairing import found_unactivated, levels, unactivated
from stillhouse.testing.toy import ToyNet, taught, toy_batches, untaught

IMAGE = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_a_toy_ends_its_levels_in_a_relu() -> None:
    assert [found.tap for found in unactivated(untaught(4), IMAGE)] == ["bn", "down.1"]


def test_a_sum_is_heard_at_the_activation_that_takes_it() -> None:
    found = unactivated(build_model("resnet14", classes=5), IMAGE)
    assert [one.tap for one in found] == [f"layer{k}.1.relu2:in" for k in (1, 2, 3)]
    assert [one.shape for one in found] == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_a_network_of_pre_activation_is_heard_at_the_next_batch_norm() -> None:
    """As the authors tap wide ResNets."""
    found = unactivated(build_model("wrn_16_1", classes=5), IMAGE)
    assert [one.tap for one in found] == ["layer2.0.bn1", "layer3.0.bn1", "bn1"]


@pytest.mark.parametrize("name", ["mobilenet_v2", "shufflenet_v2", "vgg8"])
def test_what_is_found_is_of_the_levels_size_and_has_values_below_0(name: str) -> None:
    net = build_model(name, classes=5)
    outer, found = levels(net, IMAGE), unactivated(net, IMAGE)
    assert len(outer) == len(found)
    heard = [one for one in found if one is not None]
    assert heard
    assert {one.shape for one in heard} <= {one.shape for one in outer}


class InPlace(ToyNet):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.relu = nn.ReLU(inplace=True)
        self.down[2] = nn.ReLU(inplace=True)


def stage(student: nn.Module, teacher: nn.Module) -> Stage:
    return Stage("s", [Role("student", student), Role("teacher", teacher)], [])


def test_what_works_in_place_cannot_be_heard() -> None:
    assert unactivated(InPlace(4), IMAGE) == (None, None)
    train = toy_batches()
    with pytest.raises(WiringError, match=r"work in place, .*set margins: zero"):
        found_unactivated(stage(untaught(4), InPlace(6)), train, "levels")
    found = found_unactivated(stage(InPlace(4), taught(6)), train, "levels")
    assert found == (("relu", "bn"), ("down", "down.1")), "the student is taken as it is"


@pytest.mark.parametrize("by", ["levels", "auto"])
def test_pairs_are_before_the_activation_on_both_sides(by: str) -> None:
    before = {"bn", "down.1"}
    found = found_unactivated(stage(untaught(4), taught(6)), toy_batches(), by)
    assert [mine for mine, _ in found] == ["bn", "down.1"]
    assert {theirs for _, theirs in found} <= before


def test_nothing_is_left_on_a_network() -> None:
    net = untaught(4).train()
    unactivated(net, IMAGE)
    assert net.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
