"""Margins against the integral that they are, and against samples."""

import math

import pytest
import torch
from torch import nn

from stillhouse.bridges import MarginReLU, batch_norm_margin, observed_margin

PARAMETERS = [(1.0, 0.0), (-0.5, 0.3), (2.0, -1.0), (0.3, 0.6), (1.0, -4.0)]


def integral(deviation: float, mean: float) -> float:
    """E[x | x < 0] of a Gaussian, by the midpoint rule."""
    steps, low = 200_000, mean - 12 * deviation
    width = -low / steps
    weights, total = [], []
    for k in range(steps):
        x = low + (k + 0.5) * width
        density = math.exp(-(((x - mean) / deviation) ** 2) / 2)
        weights.append(density)
        total.append(density * x)
    return math.fsum(total) / math.fsum(weights)


def norm_of(*parameters: tuple[float, float]) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(len(parameters))
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([weight for weight, _ in parameters]))
        norm.bias.copy_(torch.tensor([bias for _, bias in parameters]))
    return norm


def test_a_batch_norms_margin_is_the_mean_below_0() -> None:
    wanted = [integral(abs(weight), bias) for weight, bias in PARAMETERS]
    assert batch_norm_margin(norm_of(*PARAMETERS)).tolist() == pytest.approx(wanted, rel=1e-4)


def test_rare_and_dead_channels() -> None:
    """Beyond 3.09 deviations less than 0.1 % is below 0: -3 deviations, as the authors do."""
    margin = batch_norm_margin(norm_of((0.1, 1.0), (0.0, -2.0), (0.0, 2.0), (0.0, 0.0)))
    assert margin.tolist() == pytest.approx([-0.3, -2.0, 0.0, 0.0])
    plain = batch_norm_margin(nn.BatchNorm2d(2, affine=False))
    assert plain.tolist() == pytest.approx([-math.sqrt(2 / math.pi)] * 2)


def test_samples_agree_with_the_parameters() -> None:
    torch.manual_seed(0)
    norm = norm_of(*PARAMETERS).train()
    seen = norm(torch.randn(256, 5, 20, 20)).detach()
    torch.testing.assert_close(observed_margin(seen), batch_norm_margin(norm), atol=0.02, rtol=0.02)


def test_observed_margins_by_a_loop() -> None:
    x = torch.randn(4, 3, 2, 2)
    x[:, 1] = x[:, 1].abs()
    wanted = [
        sum(below) / len(below)
        if (below := [v for v in x[:, c].flatten().tolist() if v < 0])
        else 0
        for c in range(3)
    ]
    assert wanted[1] == 0
    assert observed_margin(x).tolist() == pytest.approx(wanted, rel=1e-5)


def test_a_map_is_cut_off_at_the_margin_of_its_channel() -> None:
    x, margin = torch.randn(2, 3, 4, 4), torch.tensor([-0.5, 0.0, -2.0])
    wanted = torch.stack([x[:, c].clamp(min=margin[c].item()) for c in range(3)], 1)
    assert torch.equal(MarginReLU(margin)(x), wanted)
    assert MarginReLU(margin)(torch.zeros(2, 17, 3)).shape == (2, 3, 4, 4)
    assert set(MarginReLU(margin).state_dict()) == {"margin"}
