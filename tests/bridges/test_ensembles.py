"""Ensembles of networks."""

import pytest
import torch

from stillhouse.bridges import (
    best_logits,
    least_logits,
    linear_logits,
    mean_logits,
    mean_of_softmaxes,
)


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


def three(seed: int = 0) -> tuple[torch.Tensor, list[torch.Tensor]]:
    made = torch.Generator().manual_seed(seed)
    label = torch.randint(5, (12,), generator=made)
    return label, [3 * torch.randn(12, 5, generator=made) for _ in range(3)]


def test_the_least_logits_against_a_loop() -> None:
    label, logits = three()
    found = least_logits(label, *logits)
    for row, y in enumerate(label.tolist()):
        for c in range(5):
            wanted = min((z[row, c] - z[row, y]).item() for z in logits)
            assert found[row, c].item() == pytest.approx(wanted, abs=1e-6)
    assert (found.gather(1, label[:, None]) == 0).all(), "nobody counts from more than the label"


def test_the_best_logits_against_a_loop() -> None:
    label, logits = three()
    found = best_logits(label, *logits)
    for row, y in enumerate(label.tolist()):
        losses = [-z[row].double().log_softmax(0)[y].item() for z in logits]
        assert torch.equal(found[row], logits[losses.index(min(losses))][row])


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_linear_mixture_is_the_best_of_all(count: int, seed: int) -> None:
    """No mixture of a grid over the simplex has a smaller cross-entropy, in float64."""
    label, logits = three(seed)
    stacked = torch.stack(logits[:count]).double()

    def loss(mixed: torch.Tensor) -> float:
        return torch.nn.functional.cross_entropy(mixed, label).item()

    steps = 40
    first = [(i / steps, j / steps) for i in range(steps + 1) for j in range(steps + 1 - i)]
    grid = [(a, 1 - a, 0.0) for a, b in first if b == 0] if count == 2 else [
        (a, b, 1 - a - b) for a, b in first
    ]  # fmt: skip
    best = min(loss(sum(a * z for a, z in zip(shares, stacked, strict=False))) for shares in grid)
    assert loss(linear_logits(label, *logits[:count]).double()) <= best + 1e-4


def test_the_linear_mixture_leaves_out_who_is_always_wrong() -> None:
    label = torch.tensor([0, 1, 2, 0])
    right = 4 * torch.nn.functional.one_hot(label, 3).float()
    torch.testing.assert_close(linear_logits(label, right, -right), right, rtol=1e-3, atol=1e-3)


def test_targets_hold_no_gradient_of_shares() -> None:
    label, logits = three()
    learning = [z.requires_grad_() for z in logits]
    assert not linear_logits(label, *learning).requires_grad
    torch.testing.assert_close(mean_logits(*logits), sum(logits) / 3)
