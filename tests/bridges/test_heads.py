"""Bridges around heads."""

import pytest
import torch
from torch import Size, nn

from stillhouse.bridges import match_width, mixture


@pytest.mark.parametrize("alpha", [0.0, 0.013, 0.5, 0.99, 1.0])
def test_the_softmax_of_a_mixture_is_the_mixture_of_probabilities(alpha: float) -> None:
    made = torch.Generator().manual_seed(0)
    own, other = (4 * torch.randn(6, 5, generator=made) for _ in range(2))
    wanted = (1 - alpha) * own.double().softmax(1) + alpha * other.double().softmax(1)
    mixed = mixture(alpha)(own, other)
    torch.testing.assert_close(mixed.softmax(1).double(), wanted, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(mixed.exp().sum(1), torch.ones(6), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_mixture_of_certain_heads_is_finite(alpha: float) -> None:
    own, other = torch.tensor([[1e4, -1e4]]), torch.tensor([[-1e4, 1e4]])
    mixed = mixture(alpha)(own, other.to(torch.bfloat16))
    assert mixed.dtype == torch.float32
    assert torch.isfinite(mixed).all()


def test_widths_that_agree_need_no_map() -> None:
    same = match_width(Size([2, 5]), Size([2, 5]))
    assert not list(same.parameters())
    value = torch.randn(2, 5)
    assert same(value) is value


def test_widths_that_differ_get_a_linear_map_of_the_last_dimension() -> None:
    made = match_width(Size([2, 7, 5]), Size([2, 7, 3]))
    assert isinstance(made, nn.Linear)
    assert made(torch.randn(2, 7, 5)).shape == (2, 7, 3)
