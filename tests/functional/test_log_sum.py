"""Both LogSum forms against loops in Python's own float64, and the constants derived on paper."""

import math

import pytest
import torch
from torch import Tensor

from stillhouse.functional import log_correlation, log_sum
from stillhouse.functional.log_sum import _log_of_powers


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def standardised(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0, correction=0)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 4.0, 5.5])
@pytest.mark.parametrize("shape", [(5, 8), (3, 2, 4, 4)])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
def test_log_sum_equals_the_naive_loop(alpha: float, shape: tuple[int, ...], scale: float) -> None:
    student, teacher = scale * noise(0, *shape), scale * noise(1, *shape)
    pairs = zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    wanted = math.log(math.fsum(abs(s - t) ** alpha for s, t in pairs) + 1e-5)
    value = log_sum(student, teacher, alpha=alpha)
    assert value.shape == ()
    assert value.item() == pytest.approx(wanted, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("power", [2.0, 4.0])
def test_log_correlation_equals_the_naive_loop(power: float) -> None:
    student, teacher = standardised(noise(0, 7, 5)), standardised(noise(1, 7, 5))
    total = 0.0
    for j in range(5):
        products = [student[b, j].item() * teacher[b, j].item() for b in range(7)]
        total += abs(math.fsum(products) / 7 - 1) ** power
    value = log_correlation(student, teacher, power=power)
    assert value.shape == ()
    assert value.item() == pytest.approx(math.log(total + 1e-5), rel=1e-5)


def test_the_defaults_are_golden() -> None:
    student, teacher = noise(0, 4, 3), noise(1, 4, 3)
    assert torch.equal(log_sum(student, teacher), log_sum(student, teacher, alpha=4.0, eps=1e-5))
    golden = log_correlation(student, teacher, power=4.0, eps=1e-5)
    assert torch.equal(log_correlation(student, teacher), golden)


@pytest.mark.parametrize(("alpha", "moment"), [(1.0, 1.128), (2.0, 2.0), (4.0, 12.0), (6.0, 120.0)])
def test_independent_unit_normals_give_the_log_of_their_moments(
    alpha: float, moment: float
) -> None:
    """D = ln(B d c_alpha), c_alpha the moment of a normal of variance 2: 14.27 at alpha 4."""
    student, teacher = noise(0, 256, 512), noise(1, 256, 512)
    wanted = math.log(256 * 512 * moment)
    assert log_sum(student, teacher, alpha=alpha).item() == pytest.approx(wanted, abs=0.05)
    if alpha == 4.0:
        assert wanted == pytest.approx(14.27, abs=0.005)


def test_the_correlation_form_of_uncorrelated_features_is_the_log_of_the_width() -> None:
    """ln(d): 8.01 for the 3024 dimensions of RegNetY-160."""
    rows = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    student, teacher = rows.expand(4, 3024), rows[[0, 0, 1, 1]].expand(4, 3024)
    assert log_correlation(student, teacher).item() == pytest.approx(math.log(3024), rel=1e-6)
    assert math.log(3024) == pytest.approx(8.01, abs=0.005)


def test_the_two_forms_are_no_rescaling_of_each_other() -> None:
    """Per dimension, the mean squared gap is 2 (1 - c_j), so the correlation form is a LogSum of
    squared errors per dimension, which the element-wise form is not.
    """
    student, teacher = (standardised(noise(n, 64, 8)) for n in (0, 1))
    errors = (student - teacher).square().mean(0)
    same = (errors / 2).pow(4).sum().add(1e-5).log()
    torch.testing.assert_close(log_correlation(student, teacher), same, rtol=1e-4, atol=1e-4)
    near = standardised(0.1 * student + teacher)
    fall = [log(near, teacher) - log(student, teacher) for log in (log_correlation, log_sum)]
    assert (fall[0] - fall[1]).abs() > 0.5


def test_a_factor_moves_log_sum_by_alpha_times_its_log() -> None:
    student, teacher = noise(0, 16, 8), noise(1, 16, 8)
    moved = log_sum(10 * student, 10 * teacher) - log_sum(student, teacher)
    assert moved.item() == pytest.approx(4 * math.log(10), rel=1e-5)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e3])
def test_the_gradient_at_alpha_2_has_norm_2_over_the_distance(scale: float) -> None:
    """It grows as the fit improves: that is why an epsilon is needed."""
    student, teacher = scale * noise(0, 4, 6), scale * noise(1, 4, 6)
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(log_sum(student, teacher, alpha=2.0, eps=1e-9), student)
    distance = (student - teacher).norm().item()
    assert gradient.norm().item() == pytest.approx(2 / distance, rel=1e-4)


@pytest.mark.parametrize("alpha", [1.0, 4.0])
def test_the_gradient_is_the_closed_form(alpha: float) -> None:
    student, teacher = noise(0, 4, 6).requires_grad_(), noise(1, 4, 6)
    (gradient,) = torch.autograd.grad(log_sum(student, teacher, alpha=alpha), student)
    gaps = (student - teacher).detach()
    wanted = alpha * gaps.abs() ** (alpha - 1) * gaps.sign() / (gaps.abs() ** alpha).sum()
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0, 4.0, 6.0])
@pytest.mark.parametrize("gap", [0.0, 1e-30, 1e-8, 1e-3])
def test_at_a_match_and_near_it_value_and_gradient_are_finite(alpha: float, gap: float) -> None:
    student, teacher = torch.full((3, 4), gap, requires_grad=True), torch.zeros(3, 4)
    value = log_sum(student, teacher, alpha=alpha)
    (gradient,) = torch.autograd.grad(value, student)
    assert gradient.isfinite().all()
    assert value.item() == pytest.approx(math.log(12 * gap**alpha + 1e-5), rel=1e-5)
    if not gap:
        assert not gradient.any()


def test_both_ends_of_the_correlation_are_finite() -> None:
    rows = standardised(noise(0, 8, 4)).requires_grad_()
    for other in (rows.detach(), -rows.detach()):
        value = log_correlation(rows, other)
        assert value.isfinite()
        assert torch.autograd.grad(value, rows)[0].isfinite().all()
    assert log_correlation(rows, -rows).item() == pytest.approx(math.log(4 * 2**4), rel=1e-5)


@pytest.mark.parametrize("alpha", [4.0, 12.0])
def test_powers_that_leave_float32_do_not_leave_the_logarithm(alpha: float) -> None:
    student = torch.full((2, 3), 1e6, requires_grad=True)
    value = log_sum(student, torch.zeros(2, 3), alpha=alpha)
    assert value.item() == pytest.approx(math.log(6) + alpha * math.log(1e6), rel=1e-6)
    (gradient,) = torch.autograd.grad(value, student)
    torch.testing.assert_close(gradient, torch.full((2, 3), alpha / 6e6))


@pytest.mark.parametrize("loss", [log_sum, log_correlation])
def test_eps_is_that_of_the_equation_whatever_the_size_of_the_gaps(loss) -> None:
    student, teacher = 3 * noise(0, 4, 3), 3 * noise(1, 4, 3)
    raised = loss(student, teacher, eps=50.0).exp() - loss(student, teacher, eps=1e-9).exp()
    assert raised.item() == pytest.approx(50.0, rel=1e-2)


def test_the_unit_is_constant_and_still_the_gradient_is_whole() -> None:
    """In float64, above and below a largest gap of 1; the second derivative too."""
    for scale in (0.3, 5.0):
        gaps = (scale * noise(0, 3, 4)).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda x: _log_of_powers(x, 4.0, 1e-5), gaps)
        assert torch.autograd.gradgradcheck(lambda x: _log_of_powers(x, 4.0, 1e-5), gaps)


@pytest.mark.parametrize("loss", [log_sum, log_correlation])
def test_a_batch_in_two_halves_is_another_loss(loss) -> None:
    student, teacher = noise(0, 8, 4), noise(1, 8, 4)
    halves = (loss(student[:4], teacher[:4]) + loss(student[4:], teacher[4:])) / 2
    assert abs(loss(student, teacher) - halves) > 0.1
