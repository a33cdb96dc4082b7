"""Layers on maps: their shapes for any two features, their values by plain convolutions; masks."""

import pytest
import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn

from stillhouse.bridges import (
    AtSize,
    ChannelMask,
    PositionMean,
    at_smaller_size,
    bottleneck,
    masked_generator,
    mean_network,
    regressor,
    smaller_size,
)
from stillhouse.bridges.maps import factor_decoder, factor_encoder

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


def test_whole_channels_of_single_examples_are_dropped_and_none_is_scaled() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 50, 3, 3)
    seen = ChannelMask(0.15)(x)
    kept = (seen == x).flatten(2)
    dropped = (seen == 0).flatten(2)
    assert (kept.all(2) | dropped.all(2)).all()
    assert dropped.all(2).float().mean().item() == pytest.approx(0.15, abs=0.02)
    assert len({tuple(row) for row in dropped.all(2).tolist()}) == 64, "each example its own"


def test_the_mask_follows_the_seed_and_rests_in_eval_mode() -> None:
    mask, x = ChannelMask(0.5), torch.ones(4, 16, 1, 1)
    torch.manual_seed(3)
    first = mask(x)
    torch.manual_seed(3)
    assert torch.equal(mask(x), first)
    assert mask.eval()(x) is x


@pytest.mark.parametrize("width", [4, 6])
def test_the_generator_is_two_convolutions_after_an_alignment(width: int) -> None:
    torch.manual_seed(0)
    shapes = Size([2, 4, 8, 8]), Size([2, width, 8, 8])
    net, x = masked_generator(*shapes, share=0.5).eval(), torch.randn(2, 4, 8, 8)
    align, _, first, _, second = net.layers
    assert isinstance(align, nn.Identity) == (width == 4)
    if width != 4:
        wanted = F.conv2d(x, align.weight, align.bias)
    else:
        wanted = x
    hidden = F.conv2d(wanted, first.weight, first.bias, padding=1).relu()
    wanted = F.conv2d(hidden, second.weight, second.bias, padding=1)
    torch.testing.assert_close(net(x), wanted)


def test_any_feature_becomes_a_map_of_the_teachers_size() -> None:
    for mine in [(2, 17, 4), (2, 4), (2, 4, 2, 2)]:
        net = masked_generator(Size(mine), Size([2, 6, 8, 8]), share=0.1)
        assert net(torch.randn(mine)).shape == (2, 6, 8, 8)


def test_a_decoder_gives_what_an_encoder_took() -> None:
    x = torch.randn(2, 6, 5, 5)
    factors = factor_encoder(6, 2)(x)
    assert factors.shape == (2, 2, 5, 5)
    assert factor_decoder(2, 6)(factors).shape == x.shape
