"""Relational formulas against loops in Python's own float64, written from the equations."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stillhouse.functional import numerics, rkd_angle, rkd_distance
from stillhouse.functional.relations import _angle_gaps, _distance_gaps, _distances

Rows = list[list[float]]


def embeddings(seed: int, rows: int = 6, width: int = 4) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def huber(gap: float) -> float:
    return gap * gap / 2 if abs(gap) < 1 else abs(gap) - 0.5


def naive_distance(student: Rows, teacher: Rows) -> float:
    def relative(x: Rows) -> Rows:
        between = [[math.dist(a, b) for b in x] for a in x]
        positive = [d for row in between for d in row if d > 0]
        unit = math.fsum(positive) / len(positive)
        return [[d / unit for d in row] for row in between]

    mine, theirs = relative(student), relative(teacher)
    size = range(len(student))
    return math.fsum(huber(mine[i][j] - theirs[i][j]) for i in size for j in size) / len(size) ** 2


def cosine(x: Rows, i: int, j: int, k: int) -> float:
    """Of the angle at j between the ways to i and to k; 0 where a way has no length."""
    to_i = [a - b for a, b in zip(x[i], x[j], strict=True)]
    to_k = [a - b for a, b in zip(x[k], x[j], strict=True)]
    lengths = math.hypot(*to_i) * math.hypot(*to_k)
    return sum(a * b for a, b in zip(to_i, to_k, strict=True)) / lengths if lengths else 0.0


def naive_angle(student: Rows, teacher: Rows) -> float:
    size = range(len(student))
    gaps = [
        huber(cosine(student, i, j, k) - cosine(teacher, i, j, k))
        for i in size
        for j in size
        for k in size
    ]
    return math.fsum(gaps) / len(size) ** 3


BOTH = pytest.mark.parametrize(
    ("loss", "naive"), [(rkd_distance, naive_distance), (rkd_angle, naive_angle)]
)
Loss = Callable[[Tensor, Tensor], Tensor]


@BOTH
@pytest.mark.parametrize("widths", [(4, 4), (2, 9)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_it_equals_the_naive_loop(
    loss: Loss, naive: Callable[[Rows, Rows], float], widths: tuple[int, int], scale: float
) -> None:
    student, teacher = embeddings(0, width=widths[0]), scale * embeddings(1, width=widths[1])
    value = loss(student, teacher)
    assert value.shape == ()
    assert value.item() == pytest.approx(naive(student.tolist(), teacher.tolist()), rel=1e-5)


@BOTH
def test_maps_count_as_flat_vectors(loss: Loss, naive: Callable[[Rows, Rows], float]) -> None:
    student, teacher = embeddings(0, 4, 18), embeddings(1, 4, 8)
    value = loss(student.view(4, 2, 3, 3), teacher.view(4, 2, 2, 2))
    assert torch.equal(value, loss(student, teacher))
    assert value.item() == pytest.approx(naive(student.tolist(), teacher.tolist()), rel=1e-5)


@BOTH
def test_it_ignores_where_a_space_lies_how_large_it_is_and_how_it_is_turned(
    loss: Loss, naive: object
) -> None:
    student, teacher = embeddings(0), embeddings(1)
    turn, _ = torch.linalg.qr(embeddings(2, 4, 4))
    other = 5.0 * teacher @ turn + embeddings(3, 1, 4)
    torch.testing.assert_close(loss(student, other), loss(student, teacher), rtol=1e-4, atol=1e-5)
    assert loss(other, teacher).item() == pytest.approx(0.0, abs=1e-9)


@BOTH
def test_equal_embeddings_are_at_distance_0_with_finite_gradients(
    loss: Loss, naive: Callable[[Rows, Rows], float]
) -> None:
    """Two equal ones, three equal ones, and all; of the student, of the teacher, of both."""
    for student_rows, teacher_rows in [
        ([0, 0, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]),
        ([0, 1, 2, 3, 4, 5], [0, 1, 2, 2, 2, 5]),
        ([0, 0, 2, 3, 4, 4], [0, 0, 2, 3, 3, 3]),
    ]:
        student, teacher = embeddings(0)[student_rows], embeddings(1)[teacher_rows]
        wanted = naive(student.tolist(), teacher.tolist())
        student.requires_grad_()
        value = loss(student, teacher)
        assert value.item() == pytest.approx(wanted, rel=1e-5)
        (gradient,) = torch.autograd.grad(value, student)
        assert gradient.abs().max() < 1.0
        assert gradient.any()
    same = embeddings(0)[[1] * 6].requires_grad_()
    value = loss(same, embeddings(1))
    assert value.isfinite()
    assert torch.equal(torch.autograd.grad(value, same)[0], torch.zeros(6, 4))


@BOTH
@pytest.mark.parametrize("near", [1e-20, 1e-14, 1e-9, 1e-4])
def test_embeddings_that_nearly_coincide_have_finite_gradients(
    loss: Loss, naive: object, near: float
) -> None:
    student = torch.tensor([[0.0, 0.0], [near, 0.0], [1.0, 2.0], [-1.0, 0.5]], requires_grad=True)
    value = loss(student, embeddings(1, 4))
    assert value.isfinite()
    assert torch.autograd.grad(value, student)[0].isfinite().all()


def test_near_neighbours_far_from_the_origin_keep_their_distance() -> None:
    """By products, |a|^2 + |b|^2 - 2 a.b, these would be rounded away."""
    shape = (embeddings(0, 30) * 64).round() / 64
    assert rkd_distance(shape + 4096.0, shape).item() == pytest.approx(0.0, abs=1e-9)
    assert rkd_angle(shape + 4096.0, shape).item() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("chunk", [10**6, 1, 50])
def test_gradients_agree_with_finite_differences_in_float64(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what lies under the cast to float32, in one piece and in several."""
    monkeypatch.setattr(numerics, "CHUNK", chunk)
    student, teacher = (embeddings(n, 4).double() for n in (0, 1))
    student.requires_grad_()

    def angle(x: Tensor) -> Tensor:
        return numerics.by_anchors(_angle_gaps, x, teacher, width=16)

    def distance(x: Tensor) -> Tensor:
        unit = numerics.by_anchors(lambda at, x: _distances(at, x).sum(), x, width=16) / 12
        return numerics.by_anchors(_distance_gaps, x, teacher, unit, torch.ones(1), width=16)

    assert torch.autograd.gradcheck(angle, student)
    assert torch.autograd.gradcheck(distance, student)


def test_the_mean_distance_has_a_gradient_too() -> None:
    """A student that is only larger gains nothing by shrinking: the gradient is at a right angle.

    Along x -> (1 + e) x the loss does not change, because the unit grows with it.
    """
    student = embeddings(0).requires_grad_()
    (gradient,) = torch.autograd.grad(rkd_distance(student, embeddings(1)), student)
    assert (gradient * student).sum().item() == pytest.approx(0.0, abs=1e-6)
    assert gradient.norm() > 1e-3


def test_the_default_size_of_an_error_is_golden() -> None:
    """By hand. Distances 1, 2, 1 and 1, 3, 2 in units of 4/3 and 2: gaps 1/4, 0, -1/4.

    Angles of three points in a row: where the middle one is another, 4 of 27 cosines differ by 2
    (huber: 3/2), two of them at either of two points.
    """
    line = torch.tensor([[0.0], [1.0], [2.0]])
    value = rkd_distance(line, torch.tensor([[0.0], [1.0], [3.0]]))
    assert value.item() == pytest.approx(4 * (0.25**2 / 2) / 9, rel=1e-6)
    value = rkd_angle(line, torch.tensor([[0.0], [1.0], [-1.0]]))
    assert value.item() == pytest.approx(4 * 1.5 / 27, rel=1e-6)
