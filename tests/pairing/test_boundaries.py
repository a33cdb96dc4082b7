"""The tap before a ReLU: found where the ReLU is a module that runs once, and nowhere else."""

import pytest
import torch
from torch import Tensor, nn

from stillhouse.models import build_model
from stillhouse.pairing import before_relu, levels
from stillhouse.testing.toy import untaught

IMAGE = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


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
