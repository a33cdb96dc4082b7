"""Similarities of representations against closed forms and naive loops."""

import math

import pytest
import torch
from torch import Tensor

from stillhouse.errors import WiringError
from stillhouse.representations.likeness import (
    head_cosine,
    linear_cka,
    mean_correlation,
    mean_cosine,
)


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_cka_equals_the_naive_sum_over_pairs_of_samples() -> None:
    """As an alignment of centred kernels: sum_ij K_ij L_ij over the norms of K and L."""
    a, b = (features(7, width, seed=width) + 3.0 for width in (3, 5))
    kernels = []
    for x in (a.double(), b.double()):
        x = x - x.mean(0)
        kernels.append([[(x[i] @ x[j]).item() for j in range(7)] for i in range(7)])

    def product(k: list[list[float]], m: list[list[float]]) -> float:
        return math.fsum(k[i][j] * m[i][j] for i in range(7) for j in range(7))

    k, m = kernels
    wanted = product(k, m) / math.sqrt(product(k, k) * product(m, m))
    assert linear_cka(a, b) == pytest.approx(wanted, rel=1e-10)
    assert linear_cka(b, a) == pytest.approx(wanted, rel=1e-10)


def test_cka_does_not_see_rotation_scale_and_shift() -> None:
    a = features(20, 4)
    turn, _ = torch.linalg.qr(features(4, 4, seed=1))
    assert linear_cka(a, -7.0 * a @ turn + 3.0) == pytest.approx(1.0, abs=1e-6)
    stretched = a * torch.tensor([10.0, 1.0, 1.0, 1.0])
    assert linear_cka(a, stretched) < 0.95, "other linear maps it does see"


def test_cka_of_features_at_right_angles_is_0() -> None:
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert linear_cka(signs[:, :1], signs[:, 1:]) == 0.0


def test_a_representation_that_does_not_vary_is_like_none() -> None:
    a, still = features(6, 3), torch.full((6, 3), 0.1)
    assert linear_cka(a, still) == linear_cka(still, a) == linear_cka(still, still) == 0.0
    assert mean_correlation(a, still) == 0.0
    assert math.isnan(linear_cka(a, torch.full((6, 3), math.nan))), "but nan is told"


def test_the_mean_cosine_equals_the_naive_loop() -> None:
    a, b = features(5, 4), features(5, 4, seed=1)
    cosines = [
        math.fsum(x * y for x, y in zip(s, t, strict=True)) / (math.hypot(*s) * math.hypot(*t))
        for s, t in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert mean_cosine(a, b) == pytest.approx(math.fsum(cosines) / 5, rel=1e-10)
    assert mean_cosine(a, 3 * a) == pytest.approx(1.0)
    assert mean_cosine(a, -a) == pytest.approx(-1.0)
    assert mean_cosine(torch.zeros(5, 4), a) == 0.0


def test_the_mean_correlation_equals_the_naive_loop() -> None:
    a, b = 5 + features(8, 3), features(8, 2, seed=1) - 5
    total = 0.0
    for j in range(3):
        for k in range(2):
            total += abs(torch.corrcoef(torch.stack([a[:, j], b[:, k]]).double())[0, 1].item())
    assert mean_correlation(a, b) == pytest.approx(total / 6, rel=1e-10)
    assert mean_correlation(a[:, :1], -4 * a[:, :1] + 1) == pytest.approx(1.0, abs=1e-6)


def test_the_cosine_of_heads_is_that_of_each_class() -> None:
    w_s, w_t = features(3, 4), features(3, 4, seed=1)
    wanted = torch.cosine_similarity(w_s.double(), w_t.double(), dim=1).tolist()
    value = head_cosine(w_s.requires_grad_(), w_t)
    assert value.dtype == torch.float64
    assert not value.requires_grad
    assert value.tolist() == pytest.approx(wanted, rel=1e-10)
    assert head_cosine(2 * w_t, w_t).tolist() == pytest.approx([1.0] * 3)


def test_half_precision_and_maps_are_taken() -> None:
    a = features(6, 2, 3, 3)
    assert linear_cka(a.to(torch.bfloat16), a) == pytest.approx(1.0, abs=1e-3)
    assert linear_cka(a, a.flatten(1)) == pytest.approx(1.0)


@pytest.mark.parametrize("compare", [linear_cka, mean_cosine, mean_correlation, head_cosine])
def test_other_numbers_of_rows_are_refused(compare) -> None:
    with pytest.raises(WiringError, match=r"one side has 4 rows, the other 5; .*same samples"):
        compare(torch.ones(4, 3), torch.ones(5, 3))


@pytest.mark.parametrize("compare", [mean_cosine, head_cosine])
def test_other_widths_have_no_cosine(compare) -> None:
    with pytest.raises(WiringError, match=r"width 3 and 2 have no cosine; use linear_cka"):
        compare(torch.ones(4, 3), torch.ones(4, 2))
