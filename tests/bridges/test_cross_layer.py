"""Between layers: flows against a loop, shifts by means, the fusion of maps by its equation."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn

from stillhouse.bridges import Fusion, flow, layer_shift, reviewer


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


@pytest.mark.parametrize("sides", [(4, 4), (4, 2), (2, 4)])
def test_a_flow_equals_the_naive_loop(sides: tuple[int, int]) -> None:
    made = torch.Generator().manual_seed(0)
    early = torch.randn(2, 3, sides[0], sides[0], generator=made)
    late = torch.randn(2, 5, sides[1], sides[1], generator=made)
    value, least = flow(early, late), min(sides)
    assert value.shape == (2, 3, 5)
    a, b = (F.avg_pool2d(x, x.shape[2] // least).double() for x in (early, late))
    for n in range(2):
        for i in range(3):
            for j in range(5):
                products = [
                    a[n, i, y, x].item() * b[n, j, y, x].item()
                    for y in range(least)
                    for x in range(least)
                ]
                wanted = math.fsum(products) / least**2
                assert value[n, i, j].item() == pytest.approx(wanted, abs=1e-6)


def test_of_maps_it_is_the_gap_of_their_means_in_pairs_of_channels() -> None:
    made = torch.Generator().manual_seed(0)
    early, late = torch.randn(3, 2, 4, 4, generator=made), torch.randn(3, 4, 2, 2, generator=made)
    found = layer_shift(early, late)
    assert found.shape == (3, 2)
    for b in range(3):
        for c in range(2):
            after = [
                late[b, 2 * c + k, i, j].item() for k in (0, 1) for i in (0, 1) for j in (0, 1)
            ]
            before = [early[b, c, i, j].item() for i in range(4) for j in range(4)]
            wanted = sum(after) / 8 - sum(before) / 16
            assert found[b, c].item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("shapes", [((2, 5), (2, 3)), ((2, 9, 6), (2, 6)), ((2, 4, 3, 3), (2, 6))])
def test_any_features_have_a_shift(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    widths = [shape[2] if len(shape) == 3 else shape[1] for shape in shapes]
    early, late = (torch.ones(shape) for shape in shapes)
    assert torch.equal(layer_shift(early, 3.0 * late), torch.full((2, min(widths)), 2.0))
