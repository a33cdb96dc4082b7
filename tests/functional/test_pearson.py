"""Correlations of class probabilities against loops in Python's own float64."""

import math

import pytest
import torch
from torch import Tensor

from stillhouse.functional import inter_class_correlation, intra_class_correlation


def logits(seed: int, *shape: int) -> Tensor:
    return 3.0 * torch.randn(shape or (7, 5), generator=torch.Generator().manual_seed(seed))


def softmax(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in row]
    return [power / math.fsum(powers) for power in powers]


def pearson(x: list[float], y: list[float]) -> float:
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    together = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    alone_x = math.fsum((a - mean_x) ** 2 for a in x)
    alone_y = math.fsum((b - mean_y) ** 2 for b in y)
    return together / math.sqrt(alone_x * alone_y)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("classes", [2, 5, 100])
def test_both_equal_the_naive_loop(temperature: float, classes: int) -> None:
    student, teacher = logits(0, 7, classes), logits(1, 7, classes)
    p = [softmax(row, temperature) for row in student.tolist()]
    q = [softmax(row, temperature) for row in teacher.tolist()]
    rows = [1 - pearson(a, b) for a, b in zip(p, q, strict=True)]
    pairs = zip(zip(*p, strict=True), zip(*q, strict=True), strict=True)
    columns = [1 - pearson(list(a), list(b)) for a, b in pairs]
    inter = inter_class_correlation(student, teacher, temperature=temperature)
    intra = intra_class_correlation(student, teacher, temperature=temperature)
    assert inter.tolist() == pytest.approx(rows, abs=1e-4)
    assert intra.item() == pytest.approx(math.fsum(columns) / classes, abs=1e-4)
    assert (inter.dtype, intra.dtype) == (torch.float32, torch.float32)


def test_t_squared_is_not_inside() -> None:
    """Golden: a correlation lies in -1..1, whatever T; the default is 4."""
    student, teacher = logits(0), -logits(0)
    assert inter_class_correlation(student, teacher, temperature=100.0).tolist() == pytest.approx(
        [2.0] * 7, abs=0.02
    )
    for formula in (inter_class_correlation, intra_class_correlation):
        same = formula(student, teacher, temperature=4.0)
        assert torch.equal(formula(student, teacher), same)


def test_a_correlation_knows_neither_shift_nor_scale_of_probabilities() -> None:
    """Half of the way to the uniform distribution keeps the correlation at 1."""
    teacher = logits(1)
    mixed = (0.5 * teacher.softmax(1) + 0.5 / 5).log()
    value = inter_class_correlation(mixed, teacher, temperature=1.0)
    torch.testing.assert_close(value, torch.zeros(7), atol=1e-6, rtol=0)


@pytest.mark.parametrize("level", [0.0, 0.1, -7.3, 1e4])
@pytest.mark.parametrize("constant", ["student", "teacher", "both"])
def test_equal_logits_correlate_with_nothing_and_give_no_gradient(level, constant) -> None:
    student, teacher = logits(0), logits(1)
    if constant != "teacher":
        student = torch.full_like(student, level)
    if constant != "student":
        teacher = torch.full_like(teacher, level)
    student.requires_grad_()
    for formula, wanted in (
        (inter_class_correlation, torch.ones(7)),
        (intra_class_correlation, torch.ones(())),
    ):
        value = formula(student, teacher)
        torch.testing.assert_close(value, wanted)
        (slope,) = torch.autograd.grad(value.sum(), student)
        assert not slope.any()


def test_classes_that_nobody_believes_in_still_correlate() -> None:
    """Squares of 1e-25 are 0 in float32: columns are taken in units of their largest value."""
    student, teacher = logits(0), logits(1)
    far = torch.tensor([0.0, 0.0, 0.0, 0.0, -60.0])
    wanted = [
        1 - pearson([softmax(row, 1.0)[4] for row in (student + far).tolist()],
                    [softmax(row, 1.0)[4] for row in (teacher + far).tolist()])
    ]  # fmt: skip
    p, q = ((z + far).softmax(1)[:, 4:] for z in (student, teacher))
    assert 0 < p.max().item() < 1e-20
    last = intra_class_correlation(student + far, teacher + far, temperature=1.0) * 5
    others = 0.0
    for c in range(4):
        a, b = ([softmax(row, 1.0)[c] for row in (z + far).tolist()] for z in (student, teacher))
        others += 1 - pearson(a, b)
    assert (last - others).item() == pytest.approx(wanted[0], abs=1e-4)
    assert q.max().item() < 1e-20


@pytest.mark.parametrize("gap", [60.0, 85.0, 95.0, 103.0, 110.0])
def test_classes_of_denormal_probability_leave_the_gradient_finite(gap: float) -> None:
    far = torch.tensor([0.0, 0.0, 0.0, 0.0, -gap])
    student = (logits(0) + far).requires_grad_()
    value = intra_class_correlation(student, logits(1) + far, temperature=1.0)
    (slope,) = torch.autograd.grad(value, student)
    assert slope.isfinite().all()
    assert slope[:, :4].any()


def test_a_batch_of_one_has_no_relation_between_examples() -> None:
    student = logits(0, 1, 5).requires_grad_()
    value = intra_class_correlation(student, logits(1, 1, 5))
    assert value.item() == 1.0
    assert not torch.autograd.grad(value, student)[0].any()
