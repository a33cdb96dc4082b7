"""Ensembles of networks."""

import pytest
import torch

from stillhouse.bridges import mean_of_softmaxes


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_softmax_of_the_ensemble_is_the_mean_of_softmaxes(count: int) -> None:
    made = torch.Generator().manual_seed(0)
    logits = [4 * torch.randn(6, 5, generator=made) for _ in range(count)]
    wanted = torch.stack([z.double().softmax(1) for z in logits]).mean(0)
    found = mean_of_softmaxes(*logits)
    torch.testing.assert_close(found.exp().double(), wanted, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.softmax(1).double(), wanted, rtol=1e-5, atol=1e-7)


def test_networks_that_are_certain_and_disagree_stay_finite() -> None:
    found = mean_of_softmaxes(torch.tensor([[1e4, -1e4]]).bfloat16(), torch.tensor([[-1e4, 1e4]]))
    assert found.exp().tolist() == [[0.5, 0.5]]
