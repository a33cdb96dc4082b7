"""Flow matrices against a loop; factors have the widths that were asked for."""

import math

import pytest
import torch
import torch.nn.functional as F

from stillhouse.bridges import flow
from stillhouse.bridges.factors import factor_decoder, factor_encoder


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


def test_a_decoder_gives_what_an_encoder_took() -> None:
    x = torch.randn(2, 6, 5, 5)
    factors = factor_encoder(6, 2)(x)
    assert factors.shape == (2, 2, 5, 5)
    assert factor_decoder(2, 6)(factors).shape == x.shape
