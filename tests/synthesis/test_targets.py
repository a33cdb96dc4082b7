import pytest
import torch

from stillhouse.errors import RecipeError
from stillhouse.synthesis.targets import (
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
