"""Similarity losses against loops in Python's own float64, written from the equations."""

import math
from collections.abc import Callable
from itertools import chain

import pytest
import torch
from torch import Tensor

from stillhouse.functional import cosine_kernel_kl, numerics, similarity_gap
from stillhouse.functional.similarities import _kernel_kl, _row_gaps

Rows = list[list[float]]
Naive = Callable[[Rows, Rows], float]
Loss = Callable[[Tensor, Tensor], Tensor]


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def product(a: list[float], b: list[float]) -> float:
    return math.fsum(p * q for p, q in zip(a, b, strict=True))


def unit(row: list[float]) -> list[float]:
    length = math.hypot(*row)
    return [x / length for x in row] if length else row


def naive_similarity(student: Rows, teacher: Rows) -> float:
    def rows(x: Rows) -> Rows:
        return [unit([product(a, b) for b in x]) for a in x]

    pairs = zip(chain(*rows(student)), chain(*rows(teacher)), strict=True)
    return math.fsum((s - t) ** 2 for s, t in pairs) / len(student) ** 2


def naive_kernel(student: Rows, teacher: Rows) -> float:
    def probabilities(x: Rows) -> Rows:
        kernels = [[(product(unit(a), unit(b)) + 1) / 2 for b in x] for a in x]
        return [[k / math.fsum(row) for k in row] for row in kernels]

    pairs = zip(chain(*probabilities(student)), chain(*probabilities(teacher)), strict=True)
    total = math.fsum(t * math.log((t + 1e-7) / (s + 1e-7)) for s, t in pairs)
    return total / len(student) ** 2


BOTH = pytest.mark.parametrize(
    ("loss", "naive"), [(similarity_gap, naive_similarity), (cosine_kernel_kl, naive_kernel)]
)


@BOTH
@pytest.mark.parametrize("widths", [(4, 4), (2, 9)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_it_equals_the_naive_loop(
    loss: Loss, naive: Naive, widths: tuple[int, int], scale: float
) -> None:
    student, teacher = drawn(0, 6, widths[0]), scale * drawn(1, 6, widths[1])
    value = loss(student, teacher)
    assert value.shape == ()
    wanted = naive(student.tolist(), teacher.tolist())
    assert value.item() == pytest.approx(wanted, rel=1e-4)


@BOTH
def test_maps_count_as_flat_vectors(loss: Loss, naive: Naive) -> None:
    student, teacher = drawn(0, 4, 18), drawn(1, 4, 8)
    value = loss(student.view(4, 2, 3, 3), teacher.view(4, 2, 2, 2))
    assert value.item() == pytest.approx(naive(student.tolist(), teacher.tolist()), rel=1e-4)


@BOTH
def test_an_example_without_features_gives_no_gradient(loss: Loss, naive: Naive) -> None:
    student, teacher = drawn(0, 5, 4), drawn(1, 5, 4)
    student[2] = teacher[3] = 0.0
    wanted = naive(student.tolist(), teacher.tolist())
    student.requires_grad_()
    value = loss(student, teacher)
    assert value.item() == pytest.approx(wanted, rel=1e-4)
    (gradient,) = torch.autograd.grad(value, student)
    assert gradient.isfinite().all()
    assert gradient[0].any()


@BOTH
def test_the_size_of_features_does_not_count(loss: Loss, naive: Naive) -> None:
    student, teacher = drawn(0, 6, 4), drawn(1, 6, 4)
    torch.testing.assert_close(loss(7.0 * student, 0.1 * teacher), loss(student, teacher))


@pytest.mark.parametrize("chunk", [10**6, 1, 12])
def test_gradients_agree_with_finite_differences_in_float64(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what lies under the cast to float32, in one piece and in several."""
    monkeypatch.setattr(numerics, "CHUNK", chunk)
    student, teacher = (drawn(n, 5, 3).double() for n in (0, 1))
    student, teacher = (torch.nn.functional.normalize(x) for x in (student, teacher))
    student.requires_grad_()

    def kernels(x: Tensor) -> Tensor:
        def formula(anchors: slice, s: Tensor, t: Tensor) -> Tensor:
            return _kernel_kl(anchors, s, t, eps=1e-7)

        return numerics.by_anchors(formula, x * 0.9, teacher, width=5)

    assert torch.autograd.gradcheck(kernels, student)


@pytest.mark.parametrize("loss", [similarity_gap, cosine_kernel_kl])
def test_pieces_give_the_value_and_gradient_of_the_whole(
    loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both() -> tuple[Tensor, Tensor]:
        student = drawn(0, 16, 5).requires_grad_()
        value = loss(student, drawn(1, 16, 3))
        return value.detach(), torch.autograd.grad(value, student)[0]

    whole = both()
    monkeypatch.setattr(numerics, "CHUNK", 20)
    for mine, wanted in zip(both(), whole, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-5, atol=1e-7)


def test_sizes_are_golden() -> None:
    """By hand: rows (1, 0) against (1, 1) / sqrt(2); q (2/3, 1/3) against (1/2, 1/2)."""
    student, teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    half = 0.5**0.5
    wanted = 2 * ((1 - half) ** 2 + half**2) / 4
    assert similarity_gap(student, teacher).item() == pytest.approx(wanted, rel=1e-6)
    wanted = 2 * (math.log(3 / 4) + math.log(3 / 2)) / 2 / 4
    assert cosine_kernel_kl(student, teacher).item() == pytest.approx(wanted, rel=1e-5)
    assert _row_gaps(slice(0, 1), student, teacher).item() == pytest.approx(2 - 2**0.5, rel=1e-5)
