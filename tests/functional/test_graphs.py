"""Edges and shifts against loops in Python's own float64, written from the equations."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stillhouse.functional import edge_gap, numerics, shift_gap
from stillhouse.functional.relations import _edge_gaps, _largest

Rows = list[list[float]]
Loss = Callable[[Tensor, Tensor], Tensor]


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def naive_edges(student: Rows, teacher: Rows) -> float:
    def edges(x: Rows) -> list[float]:
        squares = [math.dist(a, b) ** 2 for a in x for b in x]
        return [square / (max(squares) or 1.0) for square in squares]

    pairs = zip(edges(student), edges(teacher), strict=True)
    return math.fsum((s - t) ** 2 for s, t in pairs) / len(student) ** 2


def naive_shifts(student: Rows, teacher: Rows) -> float:
    def moves(x: Rows) -> list[float]:
        squares = [math.fsum(value**2 for value in row) for row in x]
        return [square / (max(squares) or 1.0) for square in squares]

    pairs = zip(moves(student), moves(teacher), strict=True)
    return math.fsum((s - t) ** 2 for s, t in pairs) / len(student)


BOTH = pytest.mark.parametrize(
    ("loss", "naive"), [(edge_gap, naive_edges), (shift_gap, naive_shifts)]
)


@BOTH
@pytest.mark.parametrize("widths", [(4, 4), (2, 9)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_it_equals_the_naive_loop(
    loss: Loss, naive: Callable[[Rows, Rows], float], widths: tuple[int, int], scale: float
) -> None:
    student, teacher = drawn(0, 6, widths[0]), scale * drawn(1, 6, widths[1])
    value = loss(student, teacher)
    assert value.shape == ()
    assert value.item() == pytest.approx(naive(student.tolist(), teacher.tolist()), rel=1e-5)


@BOTH
def test_maps_count_as_flat_vectors(loss: Loss, naive: Callable[[Rows, Rows], float]) -> None:
    student, teacher = drawn(0, 4, 18), drawn(1, 4, 8)
    value = loss(student.view(4, 2, 3, 3), teacher.view(4, 2, 2, 2))
    assert value.item() == pytest.approx(naive(student.tolist(), teacher.tolist()), rel=1e-5)


@BOTH
def test_where_nothing_differs_there_is_no_unit_and_no_gradient(
    loss: Loss, naive: Callable[[Rows, Rows], float]
) -> None:
    student, teacher = torch.zeros(5, 4), drawn(1, 5, 3)
    wanted = naive(student.tolist(), teacher.tolist())
    student.requires_grad_()
    value = loss(student, teacher)
    assert value.item() == pytest.approx(wanted, rel=1e-5)
    assert torch.equal(torch.autograd.grad(value, student)[0], torch.zeros(5, 4))


def test_near_neighbours_far_from_the_origin_keep_their_distance() -> None:
    """By products, |a|^2 + |b|^2 - 2 a.b, these would be rounded away."""
    shape = (drawn(0, 6, 30) * 64).round() / 64
    assert edge_gap(shape + 4096.0, shape).item() == pytest.approx(0.0, abs=1e-9)


@BOTH
def test_a_space_that_is_only_larger_gains_nothing_by_shrinking(loss: Loss, naive: object) -> None:
    """The unit has a gradient too: along x -> (1 + e) x nothing changes."""
    student = drawn(0, 6, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(student, drawn(1, 6, 4)), student)
    assert (gradient * student).sum().item() == pytest.approx(0.0, abs=1e-6)
    assert gradient.norm() > 1e-3


@pytest.mark.parametrize("chunk", [10**6, 1, 50])
def test_gradients_agree_with_finite_differences_in_float64(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what lies under the cast to float32, in one piece and in several."""
    monkeypatch.setattr(numerics, "CHUNK", chunk)
    student, teacher = (drawn(n, 5, 3).double() for n in (0, 1))
    student.requires_grad_()

    def edges(x: Tensor) -> Tensor:
        return numerics.by_anchors(
            _edge_gaps, x, teacher, _largest(x), _largest(teacher), width=5 * 3
        )

    assert torch.autograd.gradcheck(edges, student)


def test_pieces_give_the_value_and_gradient_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def both() -> tuple[Tensor, Tensor]:
        student = drawn(0, 16, 5).requires_grad_()
        value = edge_gap(student, drawn(1, 16, 3))
        return value.detach(), torch.autograd.grad(value, student)[0]

    whole = both()
    monkeypatch.setattr(numerics, "CHUNK", 100)
    for mine, wanted in zip(both(), whole, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-5, atol=1e-7)


def test_sizes_are_golden() -> None:
    """By hand: edges 1/4, 1, 1/4 against 1, 1, 0; moves 1/4, 1 against 1, 1."""
    line = torch.tensor([[0.0], [1.0], [2.0]])
    value = edge_gap(line, torch.tensor([[0.0], [2.0], [2.0]])).item()
    assert value == pytest.approx(2 * (0.75**2 + 0.25**2) / 9, rel=1e-6)
    value = shift_gap(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [3.0]])).item()
    assert value == pytest.approx(0.75**2 / 2, rel=1e-6)
