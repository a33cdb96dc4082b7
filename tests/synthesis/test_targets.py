"""Targets against their distribution, class similarity against loops in Python's own float64."""

import math

import pytest
import torch

from stillhouse.errors import ModelError, RecipeError
from stillhouse.synthesis.targets import (
    FLOOR,
    NO_CLASS,
    class_similarity,
    concentrations,
    dirichlet_targets,
    flat_targets,
    one_hot_targets,
)

SIMILARITY = class_similarity(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))


def test_the_mean_of_a_cell_is_its_concentration_over_the_sum() -> None:
    targets = dirichlet_targets(SIMILARITY, 40_000, betas=[1.0, 0.1])
    for beta in (1.0, 0.1):
        alpha = concentrations(SIMILARITY, beta)
        wanted = alpha / alpha.sum(1, keepdim=True)
        for number in range(5):
            mine = (targets.asked == number) & (targets.beta == torch.tensor(beta))
            assert int(mine.sum()) == 4000
            found = targets.probabilities[mine].double()
            assert torch.allclose(found.mean(0), wanted[number], atol=0.04)
            total = float(alpha[number].sum())
            variance = wanted[number] * (1 - wanted[number]) / (total + 1)
            assert torch.allclose(found.var(0), variance, atol=0.02), "beta is an inverse variance"


def test_rows_are_distributions_and_none_is_nan() -> None:
    targets = dirichlet_targets(SIMILARITY, 2000, betas=[0.01])
    assert bool(torch.isfinite(targets.probabilities).all())
    assert torch.allclose(targets.probabilities.sum(1), torch.ones(2000))
    assert bool((targets.probabilities >= 0).all())


def test_more_images_change_none_that_was_there() -> None:
    few, many = (dirichlet_targets(SIMILARITY, n, seed=3) for n in (17, 400))
    for part in ("probabilities", "asked", "beta", "cell"):
        assert torch.equal(getattr(few, part), getattr(many, part)[:17])


def test_equal_betas_and_classes_do_not_give_equal_draws() -> None:
    same = torch.ones(2, 2, dtype=torch.float64)
    targets = dirichlet_targets(same, 4, betas=[1.0, 1.0])
    assert len({tuple(row) for row in targets.probabilities.tolist()}) == 4


def test_the_largest_probability_is_often_another_class() -> None:
    targets = dirichlet_targets(SIMILARITY, 5000)
    hits = (targets.probabilities.argmax(1) == targets.asked).double().mean()
    assert 0.25 < float(hits) < 0.75


def test_one_hot_and_flat() -> None:
    hot = one_hot_targets(3, 7)
    assert hot.probabilities.argmax(1).tolist() == hot.asked.tolist() == [0, 1, 2, 0, 1, 2, 0]
    flat = flat_targets(4, 20_000, concentration=1.0)
    assert set(flat.asked.tolist()) == {NO_CLASS}
    assert torch.allclose(flat.probabilities.mean(0), torch.full((4,), 0.25), atol=0.01)


@pytest.mark.parametrize("settings", [{"betas": []}, {"betas": [1.0, 0.0]}, {"floor": 0.0}])
def test_what_no_dirichlet_has_is_an_error(settings: dict) -> None:
    with pytest.raises(RecipeError, match="above 0"):
        dirichlet_targets(SIMILARITY, 4, **settings)
    with pytest.raises(RecipeError, match="above 0"):
        flat_targets(3, 4, concentration=0.0)


def naive(weight: list[list[float]]) -> list[list[float]]:
    def cosine(a: list[float], b: list[float]) -> float:
        dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))

    rows = [[cosine(a, b) for b in weight] for a in weight]
    return [[(c - min(row)) / (max(row) - min(row)) for c in row] for row in rows]


def test_similarity_equals_the_naive_loop() -> None:
    drawn = torch.Generator().manual_seed(0)
    weight = torch.randn(10, 84, generator=drawn)
    wanted = torch.tensor(naive(weight.double().tolist()), dtype=torch.float64)
    found = class_similarity(weight)
    assert found.dtype == torch.float64
    assert torch.allclose(found, wanted, atol=1e-12)


def test_each_row_is_stretched_by_itself() -> None:
    """A port stretches columns instead: the rows then have no zero of their own."""
    found = class_similarity(torch.randn(6, 3, generator=torch.Generator().manual_seed(1)))
    assert found.diagonal().tolist() == [1.0] * 6
    assert found.min(1).values.tolist() == [0.0] * 6
    assert not torch.allclose(found, found.T)


def test_the_zero_entry_gets_the_floor_after_beta() -> None:
    found = concentrations(class_similarity(torch.randn(5, 4)), 0.1)
    assert found.min().item() == FLOOR
    assert torch.allclose(found.diagonal(), torch.full((5,), 0.1 + FLOOR, dtype=torch.float64))


def test_scale_and_bias_of_a_class_do_not_matter() -> None:
    weight = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    scaled = weight * torch.tensor([1.0, 5.0, 0.1, 2.0, 30.0])[:, None]
    assert torch.allclose(class_similarity(weight), class_similarity(scaled), atol=1e-6)


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (torch.ones(1, 3), "two classes or more"),
        (torch.zeros(3, 3), "not all zero"),
        (torch.full((2, 2), float("nan")), "finite"),
        (torch.ones(3, 3), "the same way"),
    ],
)
def test_weights_that_say_nothing_are_an_error(weight: torch.Tensor, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        class_similarity(weight)
