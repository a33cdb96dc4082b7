"""Class similarity against loops in Python's own float64."""

import math

import pytest
import torch

from stillhouse.errors import ModelError
from stillhouse.synthesis.targets import FLOOR, class_similarity, concentrations


def naive(weight: list[list[float]]) -> list[list[float]]:
    def cosine(a: list[float], b: list[float]) -> float:
        dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))

    rows = [[cosine(a, b) for b in weight] for a in weight]
    return [[(c - min(row)) / (max(row) - min(row)) for c in row] for row in rows]


def test_it_equals_the_naive_loop() -> None:
    made = torch.Generator().manual_seed(0)
    weight = torch.randn(10, 84, generator=made)
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
