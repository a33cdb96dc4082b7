"""Formulas against loops in Python's own float64."""

import math

import pytest
import torch
from torch import nn

from stillhouse.synthesis.priors import (
    NormDistance,
    agreement,
    soft_cross_entropy,
    target_kl,
    total_variation,
)

MADE = torch.Generator().manual_seed(0)
LOGITS = torch.randn(6, 5, generator=MADE) * 30
OTHER = torch.randn(6, 5, generator=MADE) * 30
TARGET = torch.softmax(torch.randn(6, 5, generator=MADE) * 2, 1)


def softmax(row: list[float], tau: float) -> list[float]:
    top = max(row)
    powers = [math.exp((z - top) / tau) for z in row]
    return [p / math.fsum(powers) for p in powers]


def test_soft_cross_entropy_and_its_excess() -> None:
    for tau in (1.0, 20.0):
        entropies, gaps = [], []
        for row, target in zip(LOGITS.tolist(), TARGET.tolist(), strict=True):
            p = softmax(row, tau)
            ce = -math.fsum(y * math.log(q) for y, q in zip(target, p, strict=True))
            entropies.append(ce)
            gaps.append(ce + math.fsum(y * math.log(y) for y in target))
        found = soft_cross_entropy(LOGITS, TARGET, temperature=tau)
        assert found.tolist() == pytest.approx(entropies, rel=1e-5)
        assert target_kl(LOGITS, TARGET, temperature=tau).tolist() == pytest.approx(gaps, abs=1e-5)


def test_excess_is_zero_where_the_target_is_met_and_one_hot_is_no_trouble() -> None:
    z = torch.tensor([[200.0, 0.0]])
    assert target_kl(z, torch.softmax(z / 20, 1), temperature=20.0).item() < 1e-6
    assert target_kl(z, torch.tensor([[1.0, 0.0]]), temperature=1.0).item() == 0.0


def test_total_variation_equals_the_naive_loop() -> None:
    image = torch.randn(2, 3, 4, 5, generator=MADE)
    wanted = []
    for one in image.tolist():
        whole = 0.0
        for down, right in ((0, 1), (1, 0), (1, -1), (1, 1)):
            gaps = [
                abs(channel[r][c] - channel[r + down][c + right])
                for channel in one
                for r in range(4)
                for c in range(5)
                if 0 <= r + down < 4 and 0 <= c + right < 5
            ]
            whole += math.fsum(gaps) / len(gaps)
        wanted.append(whole)
    assert total_variation(image).tolist() == pytest.approx(wanted, rel=1e-5)


def test_norm_distance_equals_the_naive_loop() -> None:
    layers = [nn.BatchNorm2d(3), nn.BatchNorm1d(2)]
    for layer in layers:
        layer.running_mean.uniform_(-1, 1)
        layer.running_var.uniform_(0.5, 2)
    inputs = [torch.randn(4, 3, 2, 2, generator=MADE), torch.randn(4, 2, generator=MADE)]
    whole = 0.0
    for layer, x in zip(layers, inputs, strict=True):
        means, variances = [], []
        for channel in range(x.shape[1]):
            values = x[:, channel].flatten().tolist()
            mean = math.fsum(values) / len(values)
            variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
            means.append(mean - layer.running_mean[channel].item())
            variances.append(variance - layer.running_var[channel].item())
        whole += math.sqrt(math.fsum(v * v for v in means))
        whole += math.sqrt(math.fsum(v * v for v in variances))
    assert NormDistance(layers)(*inputs).item() == pytest.approx(whole, rel=1e-5)


def test_norm_distance_is_zero_on_the_statistics_themselves() -> None:
    x = torch.randn(64, 3, 4, 4, generator=MADE)
    layer = nn.BatchNorm2d(3)
    layer.running_mean.copy_(x.mean((0, 2, 3)))
    layer.running_var.copy_(x.var((0, 2, 3), correction=0))
    assert NormDistance([layer])(x).item() < 1e-5


def test_agreement_equals_the_naive_loop() -> None:
    wanted = []
    for s, t in zip(LOGITS.tolist(), OTHER.tolist(), strict=True):
        p, q = softmax(s, 3.0), softmax(t, 3.0)
        js = 0.0
        for a, b in zip(p, q, strict=True):
            m = (a + b) / 2
            js += 0.5 * (a * math.log(a / m) if a else 0.0) + 0.5 * (
                b * math.log(b / m) if b else 0
            )
        wanted.append(1 - js / math.log(2))
    found = agreement(LOGITS, OTHER)
    assert found.tolist() == pytest.approx(wanted, abs=1e-5)
    assert torch.allclose(found, agreement(OTHER, LOGITS)), "it is symmetric"
