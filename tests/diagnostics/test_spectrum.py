"""Spectra of projectors against closed forms."""

import math

import pytest
import torch
from torch import nn

from stillhouse.diagnostics.spectrum import effective_rank, share_small, singular_values


def test_singular_values_are_the_lengths_of_what_is_at_right_angles() -> None:
    turns = [torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0] for n in (3, 5)]
    stretch = torch.zeros(3, 5, dtype=torch.float64)
    stretch[:, :3] = torch.diag(torch.tensor([1.0, 7.0, 0.5]))
    weight = turns[0] @ stretch @ turns[1]
    assert singular_values(weight).tolist() == pytest.approx([7.0, 1.0, 0.5])
    assert singular_values(weight.T).tolist() == pytest.approx([7.0, 1.0, 0.5])


def test_layers_are_taken_as_they_are() -> None:
    linear, conv = nn.Linear(3, 5), nn.Conv2d(3, 5, 1)
    with torch.no_grad():
        conv.weight.copy_(linear.weight[:, :, None, None])
    value = singular_values(conv.weight)
    assert value.dtype == torch.float64
    assert not value.requires_grad
    assert torch.equal(value, singular_values(linear.weight))


def test_the_effective_rank_by_hand() -> None:
    assert effective_rank(torch.ones(7)) == pytest.approx(7.0)
    assert effective_rank(torch.tensor([4.0, 0.0, 0.0])) == pytest.approx(1.0)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(torch.tensor([3.0, 1.0])) == pytest.approx(math.exp(entropy))
    assert effective_rank(torch.tensor([300.0, 100.0])) == pytest.approx(math.exp(entropy))
    assert effective_rank(torch.zeros(3)) == 0.0


def test_the_share_of_small_values_is_relative_to_the_largest() -> None:
    sigma = torch.tensor([10.0, 5.0, 0.99, 0.01])
    assert share_small(sigma) == share_small(1e-3 * sigma) == 0.5
    assert share_small(sigma, below=0.6) == 0.75
    assert share_small(sigma, below=0.0) == 0.0
