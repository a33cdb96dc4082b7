"""Layers on maps: their shapes for any two features, and their values by plain convolutions."""

import pytest
import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn

from stillhouse.bridges import (
    AtSize,
    PositionMean,
    at_smaller_size,
    bottleneck,
    mean_network,
    regressor,
    smaller_size,
)

FEATURES = [(2, 4, 8, 8), (2, 6, 4, 4), (2, 17, 5), (2, 3), (2, 4, 4, 8)]
POSITIONS = {(2, 4, 8, 8): (8, 8), (2, 6, 4, 4): (4, 4), (2, 17, 5): (4, 4), (2, 3): (1, 1),
             (2, 4, 4, 8): (4, 8)}  # fmt: skip
WIDTHS = dict(zip(FEATURES, (4, 6, 5, 3, 4), strict=True))


@pytest.mark.parametrize("theirs", FEATURES)
@pytest.mark.parametrize("mine", FEATURES)
def test_any_two_features_meet(mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    shapes, x, t = (Size(mine), Size(theirs)), torch.randn(mine), torch.randn(theirs)
    size = tuple(map(min, POSITIONS[mine], POSITIONS[theirs]))
    assert smaller_size(*shapes) == size
    for build in (mean_network, lambda a, b: bottleneck(a, b, factor=2)):
        assert build(*shapes)(x).shape == (2, WIDTHS[theirs], *size)
    assert at_smaller_size(*shapes)(t).shape == (2, WIDTHS[theirs], *size)
    assert regressor(*shapes)(x).shape == (2, WIDTHS[theirs], *POSITIONS[mine])


def normed(x: Tensor) -> Tensor:
    return (x - x.mean((0, 2, 3), True)) / (x.var((0, 2, 3), False, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize("relu", [True, False])
def test_a_bottleneck_is_three_convolutions(relu: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8)
    net = bottleneck(Size([4, 3, 8, 8]), Size([4, 7, 4, 4]), factor=2, relu=relu)
    first, second, third = (part for part in net.modules() if isinstance(part, nn.Conv2d))
    assert (first.out_channels, second.out_channels, third.out_channels) == (3, 3, 7)
    assert all(conv.bias is None for conv in (first, second, third))
    hidden = normed(F.conv2d(F.avg_pool2d(x, 2), first.weight)).relu()
    hidden = normed(F.conv2d(hidden, second.weight, padding=1)).relu()
    wanted = normed(F.conv2d(hidden, third.weight))
    torch.testing.assert_close(net(x), wanted.relu() if relu else wanted, rtol=1e-4, atol=1e-5)


def test_a_regressor_may_end_without_a_relu() -> None:
    x = torch.randn(4, 3, 8, 8)
    for relu in (True, False):
        net = regressor(Size([4, 3, 8, 8]), Size([4, 7]), relu=relu)
        assert (net(x).min() < 0) != relu


def test_a_factor_above_the_width_leaves_one_channel() -> None:
    net = bottleneck(Size([2, 3, 4, 4]), Size([2, 2, 4, 4]), factor=8)
    assert net.layers[0].out_channels == 1


def test_sizes_and_means() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert AtSize(nn.Identity(), (1, 1))(x).item() == 7.5
    assert AtSize(nn.Identity(), None)(x) is x
    assert PositionMean()(x).tolist() == [[7.5]]
