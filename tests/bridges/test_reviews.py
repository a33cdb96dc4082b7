"""The fusion of a map with a deeper one, by its equation."""

import pytest
import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn

from stillhouse.bridges import Fusion, reviewer


def normed(x: Tensor) -> Tensor:
    return (x - x.mean((0, 2, 3), True)) / (x.var((0, 2, 3), False, keepdim=True) + 1e-5).sqrt()


def larger(x: Tensor, factor: int) -> Tensor:
    return x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def test_two_maps_are_weighted_at_each_position() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(3, 4, 4, 4), torch.randn(3, 5, 2, 2)
    shapes = Size([3, 4, 4, 4]), Size([3, 7, 8, 8]), Size([3, 5])
    fusion = Fusion(*shapes, fuse=True)
    mine, deeper = normed(F.conv2d(x, fusion.conv.weight)), larger(y, 2)
    a = F.conv2d(torch.cat([mine, deeper], 1), fusion.attention.weight, fusion.attention.bias)
    a = 1 / (1 + (-a).exp())
    wanted = larger(mine * a[:, 0, None] + deeper * a[:, 1, None], 2)
    torch.testing.assert_close(fusion(x, y), wanted, rtol=1e-4, atol=1e-5)


def test_the_deepest_is_only_projected() -> None:
    fusion = Fusion(Size([3, 5]), Size([3, 7]), Size([3, 5]), fuse=False)
    assert fusion.attention is None
    x = torch.randn(3, 5)
    wanted = normed(F.conv2d(x[..., None, None], fusion.conv.weight))
    torch.testing.assert_close(fusion(x), wanted, rtol=1e-4, atol=1e-5)


def test_no_map_is_fused_with_more_than_512_channels() -> None:
    shapes = Size([2, 4, 2, 2]), Size([2, 3, 2, 2])
    assert Fusion(*shapes, Size([2, 700]), fuse=False).conv.out_channels == 512
    assert Fusion(*shapes, Size([2, 5]), fuse=False).conv.out_channels == 5


@pytest.mark.parametrize("theirs", [(3, 7, 2, 2), (3, 5, 7), (3, 7)])
def test_a_reviewer_ends_in_the_teachers_width(theirs: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net, x = reviewer(Size([3, 5, 2, 2]), Size(theirs)), torch.randn(3, 5, 2, 2)
    conv, norm = net
    assert isinstance(norm, nn.BatchNorm2d)
    assert conv.bias is None
    wanted = normed(F.conv2d(x, conv.weight, padding=1))
    assert wanted.shape[1] == 7
    torch.testing.assert_close(net(x), wanted, rtol=1e-4, atol=1e-5)
