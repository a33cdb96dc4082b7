"""The Gaussian likelihood against a float64 loop; its variances learn what the gaps are."""

import math

import pytest
import torch

from stillhouse.errors import WiringError
from stillhouse.losses import GaussianNLL
from stillhouse.testing import check_loss


def by_loop(s: torch.Tensor, t: torch.Tensor, variances: list[float]) -> list[float]:
    values = []
    for mine, theirs in zip(s.double().tolist(), t.double().tolist(), strict=True):
        parts = [
            ((a - b) ** 2 / v + math.log(v)) / 2
            for rows, others, v in zip(mine, theirs, variances, strict=True)
            for a, b in zip(rows, others, strict=True)
        ]
        values.append(sum(parts) / len(parts))
    return values


@pytest.mark.parametrize("initial", [0.3, 5.0])
def test_it_is_the_mean_likelihood_of_a_loop(initial: float) -> None:
    torch.manual_seed(0)
    loss, s, t = GaussianNLL(3, initial=initial), torch.randn(4, 3, 5), torch.randn(4, 3, 5)
    assert loss.variance().tolist() == pytest.approx([initial] * 3, rel=1e-5)
    with torch.no_grad():
        loss.raw += torch.tensor([0.0, 1.0, -2.0])
    variances = [math.log1p(math.exp(a)) + 1e-5 for a in loss.raw.tolist()]
    assert loss(s, t).tolist() == pytest.approx(by_loop(s, t, variances), rel=1e-5)
    maps = loss(s.view(4, 3, 5, 1), t.view(4, 3, 5, 1))
    torch.testing.assert_close(maps, loss(s, t))


def test_of_maps_it_keeps_the_contract() -> None:
    check_loss(GaussianNLL(3), kind="features", minimal_at_equal=True, shape=(4, 3, 2, 2))


def test_its_variances_come_to_the_mean_squared_gaps() -> None:
    torch.manual_seed(0)
    loss = GaussianNLL(2)
    s, t = torch.zeros(512, 2, 4), torch.randn(512, 2, 4) * torch.tensor([[0.5], [3.0]])
    optimizer = torch.optim.Adam(loss.parameters(), 0.05)
    for _ in range(600):
        optimizer.zero_grad()
        loss(s, t).mean().backward()
        optimizer.step()
    assert loss.variance().tolist() == pytest.approx(t.square().mean((0, 2)).tolist(), rel=0.02)


def test_its_variances_are_saved() -> None:
    assert [(k, tuple(v.shape)) for k, v in GaussianNLL(3).state_dict().items()] == [("raw", (3,))]


def test_a_start_below_the_smallest_variance_is_refused() -> None:
    with pytest.raises(WiringError, match="initial is 1e-06; it must be above epsilon, 1e-05"):
        GaussianNLL(3, initial=1e-6)
