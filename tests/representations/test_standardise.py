"""PHI-S against what it promises."""

import math

import pytest
import torch
from torch import Tensor

from stillhouse.errors import DataError
from stillhouse.representations.standardise import phi_s


def skewed(rows: int, width: int) -> Tensor:
    of = torch.Generator().manual_seed(width)
    mixed = torch.randn(width, width, generator=of, dtype=torch.float64) ** 3
    return torch.randn(rows, width, generator=of, dtype=torch.float64) @ mixed + 5.0


@pytest.mark.parametrize(("rows", "width"), [(50, 1), (50, 3), (50, 16), (50, 20), (12, 40)])
def test_every_dimension_has_variance_1_and_distances_are_scaled_alike(
    rows: int, width: int
) -> None:
    """Also where rows are fewer than dimensions, and for widths without a Hadamard matrix."""
    x = skewed(rows, width)
    fitted = phi_s(x)
    y = fitted.forward(x)
    assert y.mean(0).abs().max() < 1e-10
    assert y.var(0, correction=0).tolist() == pytest.approx([1.0] * width)
    assert torch.pdist(y).tolist() == pytest.approx((torch.pdist(x) / fitted.scale).tolist())
    assert torch.allclose(fitted.back(y), x)
    assert torch.equal(phi_s(x).rotation, fitted.rotation), "nothing is drawn"


def test_the_scale_is_the_root_of_the_mean_variance() -> None:
    x = skewed(30, 6)
    assert phi_s(x).scale == pytest.approx(x.var(0, correction=0).mean().sqrt().item())


def test_rows_that_do_not_vary_have_no_scale() -> None:
    with pytest.raises(DataError, match="all alike"):
        phi_s(torch.ones(4, 3))
    with pytest.raises(DataError, match="finite"):
        phi_s(torch.full((4, 3), math.inf))
