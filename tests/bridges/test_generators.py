"""The random mask of channels, and the generator around it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Size, nn

from stillhouse.bridges import ChannelMask, masked_generator


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
