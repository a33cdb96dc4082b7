"""Formulas against loops in Python's own float64."""

import math

import pytest
import torch
from torch import nn

from stillhouse.synthesis.priors import (
    MovingNormDistance,
    NormDistance,
    adversarial_kl,
    agreement,
    gap,
    imbalance,
    inactivity,
    one_hot,
    soft_cross_entropy,
    target_kl,
    total_variation,
)

DRAWN = torch.Generator().manual_seed(0)
LOGITS = torch.randn(6, 5, generator=DRAWN) * 30
OTHER = torch.randn(6, 5, generator=DRAWN) * 30
TARGET = torch.softmax(torch.randn(6, 5, generator=DRAWN) * 2, 1)


def softmax(row: list[float], tau: float) -> list[float]:
    top = max(row)
    powers = [math.exp((z - top) / tau) for z in row]
    return [p / math.fsum(powers) for p in powers]


def test_soft_cross_entropy_and_its_distance_to_the_target() -> None:
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


def test_target_kl_is_zero_where_the_target_is_met_and_one_hot_is_no_trouble() -> None:
    z = torch.tensor([[200.0, 0.0]])
    assert target_kl(z, torch.softmax(z / 20, 1), temperature=20.0).item() < 1e-6
    assert target_kl(z, torch.tensor([[1.0, 0.0]]), temperature=1.0).item() == 0.0


def test_total_variation_equals_the_naive_loop() -> None:
    image = torch.randn(2, 3, 4, 5, generator=DRAWN)
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
    inputs = [torch.randn(4, 3, 2, 2, generator=DRAWN), torch.randn(4, 2, generator=DRAWN)]
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
    x = torch.randn(64, 3, 4, 4, generator=DRAWN)
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


def test_adversarial_kl_equals_a_naive_loop() -> None:
    drawn = torch.Generator().manual_seed(0)
    s, t = torch.randn(2, 12, 3, generator=drawn).unbind()
    wanted = []
    for a, b in zip(s.tolist(), t.tolist(), strict=True):
        p = [math.exp(v) / math.fsum(map(math.exp, b)) for v in b]
        q = [math.exp(v) / math.fsum(map(math.exp, a)) for v in a]
        alike = a.index(max(a)) == b.index(max(b))
        wanted.append(-alike * math.fsum(x * math.log(x / y) for x, y in zip(p, q, strict=True)))
    assert 0 < sum(value == 0 for value in wanted) < 12
    assert adversarial_kl(s, t).tolist() == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_the_average_is_of_batches_not_of_steps() -> None:
    layer = nn.BatchNorm2d(1)
    distance = MovingNormDistance([layer], momentum=0.75)
    values = [torch.tensor([2.0, 4.0, 9.0]).view(3, 1, 1, 1) * k for k in (1.0, 2.0, 3.0)]
    means = [5.0 * k for k in (1.0, 2.0, 3.0)]
    variances = [(9 + 1 + 16) / 3 * k * k for k in (1.0, 2.0, 3.0)]
    distance(values[2])
    assert distance(values[0]).item() == pytest.approx(means[0] + variances[0] - 1)
    distance.eval()(values[2])  # a dry run is no batch
    distance.train().update_averages()
    mean, variance = (0.25 * v[1] + 0.75 * v[0] for v in (means, variances))
    assert distance(values[1]).item() == pytest.approx(mean + variance - 1)
    distance.update_averages()
    mean, variance = 0.25 * means[2] + 0.75 * mean, 0.25 * variances[2] + 0.75 * variance
    assert distance(values[2]).item() == pytest.approx(mean + variance - 1)
    assert not distance.state_dict(), "a session's state does not bring an old average back"


def test_the_formulas_of_dafl_equal_naive_loops() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    softmax = []
    for row in logits.tolist():
        powers = [math.exp(z) for z in row]
        softmax.append([p / math.fsum(powers) for p in powers])
    wanted = [-math.log(max(row)) for row in softmax]
    assert one_hot(logits).tolist() == pytest.approx(wanted, rel=1e-5)
    means = [math.fsum(row[c] for row in softmax) / 5 for c in range(3)]
    assert imbalance(logits).item() == pytest.approx(
        math.fsum(m * math.log(m) for m in means), rel=1e-5
    )
    absolute = [-math.fsum(abs(v) for v in row) / 3 for row in logits.tolist()]
    assert inactivity(logits).tolist() == pytest.approx(absolute, rel=1e-5)
    other = logits.flip(0)
    gaps = [
        math.fsum(abs(a - b) for a, b in zip(s, t, strict=True)) / 3
        for s, t in zip(logits.tolist(), other.tolist(), strict=True)
    ]
    assert gap(logits, other).tolist() == pytest.approx(gaps, rel=1e-5, abs=1e-7)
