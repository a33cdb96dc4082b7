"""The two losses called CC, against loops in Python's own float64."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from stillhouse.functional import correlation_gap, neighbour_products, numerics

Rows = list[list[float]]


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def naive_gap(student: Rows, teacher: Rows, gamma: float, order: int) -> float:
    def kernel(a: list[float], b: list[float]) -> float:
        lengths = math.hypot(*a) * math.hypot(*b)
        cosine = math.fsum(p * q for p, q in zip(a, b, strict=True)) / lengths if lengths else 0.0
        series = [(2 * gamma * cosine) ** p / math.factorial(p) for p in range(order + 1)]
        return math.exp(-2 * gamma) * math.fsum(series)

    size = range(len(student))
    gaps = [
        kernel(student[i], student[j]) - kernel(teacher[i], teacher[j]) for i in size for j in size
    ]
    return math.fsum(gap**2 for gap in gaps) / len(student) ** 2


def naive_products(student: Rows, teacher: Rows) -> float:
    gaps = [
        [abs(p - q) for p, q in zip(s, t, strict=True)]
        for s, t in zip(student, teacher, strict=True)
    ]
    products = [math.fsum(p * q for p, q in zip(a, b, strict=True)) for a, b in pairwise(gaps)]
    return math.fsum(products) / len(products)


@pytest.mark.parametrize("widths", [(4, 4), (2, 9)])
@pytest.mark.parametrize(("gamma", "order"), [(0.4, 2), (0.4, 1), (2.0, 5)])
def test_the_gaussian_form_equals_the_naive_loop(
    widths: tuple[int, int], gamma: float, order: int
) -> None:
    student, teacher = drawn(0, 6, widths[0]), 50.0 * drawn(1, 6, widths[1])
    value = correlation_gap(student, teacher, gamma=gamma, order=order)
    assert value.shape == ()
    wanted = naive_gap(student.tolist(), teacher.tolist(), gamma, order)
    assert value.item() == pytest.approx(wanted, rel=1e-4)


def test_a_long_series_is_the_gaussian_kernel() -> None:
    """exp(-gamma |a - b|^2) of unit vectors, summed up to the tenth power."""
    student, teacher = (torch.nn.functional.normalize(drawn(n, 6, 4)) for n in (0, 1))
    kernels = [torch.exp(-0.4 * torch.cdist(x, x).square()) for x in (student, teacher)]
    wanted = (kernels[0] - kernels[1]).square().mean().item()
    assert correlation_gap(student, teacher, order=10).item() == pytest.approx(wanted, rel=1e-4)


def test_an_embedding_of_zeros_correlates_with_nothing() -> None:
    student, teacher = drawn(0, 5, 4), drawn(1, 5, 4)
    student[2] = 0.0
    wanted = naive_gap(student.tolist(), teacher.tolist(), 0.4, 2)
    student.requires_grad_()
    value = correlation_gap(student, teacher)
    assert value.item() == pytest.approx(wanted, rel=1e-4)
    assert torch.autograd.grad(value, student)[0].isfinite().all()


def test_pieces_give_the_value_and_gradient_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def both() -> tuple[Tensor, Tensor]:
        student = drawn(0, 16, 5).requires_grad_()
        value = correlation_gap(student, drawn(1, 16, 3))
        return value.detach(), torch.autograd.grad(value, student)[0]

    whole = both()
    monkeypatch.setattr(numerics, "CHUNK", 20)
    for mine, wanted in zip(both(), whole, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-5, atol=1e-7)


def test_the_form_of_neighbours_equals_the_naive_loop() -> None:
    student, teacher = drawn(0, 7, 4), drawn(1, 7, 4)
    value = neighbour_products(student, teacher)
    assert value.shape == ()
    assert value.item() == pytest.approx(
        naive_products(student.tolist(), teacher.tolist()), rel=1e-5
    )
    maps = neighbour_products(student.view(7, 1, 2, 2), teacher.view(7, 1, 2, 2))
    assert torch.equal(maps, value)


def test_neighbours_over_all_shuffles_are_all_pairs() -> None:
    """What the docstring says of the average."""
    made = torch.Generator().manual_seed(0)
    student, teacher = drawn(0, 5, 3), drawn(1, 5, 3)
    orders = [torch.randperm(5, generator=made) for _ in range(4000)]
    mean = torch.stack([neighbour_products(student[o], teacher[o]) for o in orders]).mean().item()
    gaps = (student - teacher).abs()
    pairs = [(gaps[i] * gaps[j]).sum() for i in range(5) for j in range(5) if i != j]
    assert mean == pytest.approx(torch.stack(pairs).mean().item(), rel=2e-2)


def test_one_example_has_no_neighbour() -> None:
    student = drawn(0, 1, 4).requires_grad_()
    value = neighbour_products(student, drawn(1, 1, 4))
    assert value.item() == 0.0
    assert torch.equal(torch.autograd.grad(value, student)[0], torch.zeros(1, 4))


def test_sizes_are_golden() -> None:
    """By hand: of two pairs, cosine 0 against cosine 1."""
    student, teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    gap = math.exp(-0.8) * (0.8 + 0.8**2 / 2)
    assert correlation_gap(student, teacher).item() == pytest.approx(gap**2 / 2, rel=1e-5)
