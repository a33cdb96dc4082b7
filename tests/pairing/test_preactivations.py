"""Maps before their activation, in networks of every make, and the tap before a ReLU."""

import pytest
import torch
from torch import Tensor, nn

from stillhouse.models import build_model
from stillhouse.pairing import before_relu, levels, unactivated
from stillhouse.testing.toy import ToyNet, untaught

IMAGE = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
STAGES = ["layer1", "layer2", "layer3"]


def test_a_batch_norm_before_the_relu_is_named() -> None:
    assert unactivated(untaught(4), IMAGE, ["relu", "down", "down.2"]) == ("bn", "down.1", "down.1")


def test_what_is_before_already_stays() -> None:
    assert unactivated(untaught(4), IMAGE, ["down.1", "fc"]) == ("down.1", "fc")


def test_a_sum_is_heard_at_the_activation_that_takes_it() -> None:
    found = unactivated(build_model("resnet14", classes=5), IMAGE, STAGES)
    assert found == tuple(f"layer{k}.1.relu2:in" for k in (1, 2, 3))


def test_a_network_of_pre_activation_is_heard_at_the_next_batch_norm() -> None:
    """As the authors of OFD tap wide ResNets."""
    found = unactivated(build_model("wrn_16_1", classes=5), IMAGE, STAGES)
    assert found == ("layer2.0.bn1", "layer3.0.bn1", "bn1")


@pytest.mark.parametrize("name", ["mobilenet_v2", "shufflenet_v2", "vgg8"])
def test_what_is_found_has_the_shape_of_the_tap_and_values_below_0(name: str) -> None:
    net = build_model(name, classes=5)
    outer = levels(net, IMAGE)
    found = unactivated(net, IMAGE, [level.tap for level in outer])
    heard: dict[str, torch.Tensor] = {}
    for tap in found:
        part = net.get_submodule(tap.partition(":")[0])
        if tap.endswith(":in"):
            part.register_forward_pre_hook(lambda _, args, at=tap: heard.update({at: args[0]}))
        else:
            part.register_forward_hook(lambda _, args, out, at=tap: heard.update({at: out}))
    net.eval()(IMAGE)
    shapes = [tuple(heard[tap].shape[1:]) for tap in found]
    assert shapes == [level.shape for level in outer]
    moved = [tap for tap, level in zip(found, outer, strict=True) if tap != level.tap]
    assert bool(moved) == (name != "mobilenet_v2")  # its blocks end in a linear layer
    assert all((heard[tap] < 0).any() for tap in moved)


class InPlace(ToyNet):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.relu = nn.ReLU(inplace=True)
        self.down[2] = nn.ReLU(inplace=True)


def test_what_works_in_place_cannot_be_heard() -> None:
    assert unactivated(InPlace(4), IMAGE, ["relu", "down"]) == ("relu", "down")


def test_nothing_is_left_on_a_network() -> None:
    net = untaught(4).train()
    unactivated(net, IMAGE, ["relu"])
    assert net.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_a_residual_network_is_heard_before_the_relus_of_its_last_blocks() -> None:
    net = build_model("resnet14", classes=10)
    taps = [level.tap for level in levels(net, IMAGE)]
    assert taps == ["layer1", "layer2", "layer3"]
    found = before_relu(net, IMAGE, taps)
    assert found == ("layer1.1.relu2:in", "layer2.1.relu2:in", "layer3.1.relu2:in")


def test_what_is_before_its_relu_already_stays() -> None:
    net = untaught(4)
    assert before_relu(net, IMAGE, ["conv", "bn", "relu", "down", "down.0"]) == (
        "conv", "bn", "relu:in", "down.2:in", "down.0"
    )  # fmt: skip


class Other(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=kind == "in place")
        self.block = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.kind == "twice":
            return self.block(self.relu(self.relu(x) - 1.0))
        return self.block(self.relu(x))


@pytest.mark.parametrize("kind", ["twice", "in place"])
def test_a_relu_that_cannot_be_tapped_leaves_the_tap(kind: str) -> None:
    assert before_relu(Other(kind), IMAGE, ["block"]) == ("block",)


def test_flags_and_hooks_are_as_before() -> None:
    net = untaught(4)
    net.train().bn.eval()
    before_relu(net, IMAGE, ["relu"])
    assert (net.training, net.bn.training) == (True, False)
    assert not any(part._forward_hooks for part in net.modules())
