"""KL of standardised logits against a loop in Python's own float64, and at its edges."""

import math
import statistics

import pytest
import torch
from torch import Tensor

from stillhouse.functional import kl, standardised_kl


def logits(seed: int, *shape: int) -> Tensor:
    return 3.0 * torch.randn(shape or (7, 5), generator=torch.Generator().manual_seed(seed))


def soft_z_scores(row: list[float], temperature: float) -> list[float]:
    mean, deviation = statistics.fmean(row), statistics.stdev(row)  # stdev is the unbiased one
    powers = [math.exp((z - mean) / (deviation + 1e-7) / temperature) for z in row]
    return [power / math.fsum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 20.0])
@pytest.mark.parametrize("classes", [2, 5, 100])
def test_it_equals_the_naive_loop(temperature: float, classes: int) -> None:
    student, teacher = logits(0, 7, classes), 5 + 9 * logits(1, 7, classes)
    wanted = []
    for mine, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        q, p = soft_z_scores(mine, temperature), soft_z_scores(theirs, temperature)
        total = math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        wanted.append(temperature**2 * total)
    value = standardised_kl(student, teacher, temperature=temperature)
    assert value.dtype == torch.float32
    assert value.tolist() == pytest.approx(wanted, rel=1e-3, abs=1e-5)


def test_the_default_is_golden() -> None:
    assert torch.equal(
        standardised_kl(logits(0), logits(1)),
        standardised_kl(logits(0), logits(1), temperature=2.0),
    )


def test_shift_and_scale_of_either_side_do_not_matter() -> None:
    student, teacher = logits(0), logits(1)
    value = standardised_kl(student, teacher)
    torch.testing.assert_close(
        standardised_kl(4 * student - 9, teacher), value, rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(
        standardised_kl(student, 7 + teacher / 3), value, rtol=1e-4, atol=1e-5
    )
    assert not torch.allclose(kl(student, 7 + teacher / 3), kl(student, teacher))


@pytest.mark.parametrize("level", [0.0, 0.1, -7.3, 1e4])
@pytest.mark.parametrize("rounding", [False, True])
def test_equal_logits_are_finite_and_give_no_gradient(level: float, rounding: bool) -> None:
    """A head of zeros begins so: 1 / 1e-7 of its gradient would end the training at once."""
    student = torch.full((7, 5), level)
    if rounding:
        student[:, 0] = torch.nextafter(student[:, 0], torch.tensor(torch.inf))
    student.requires_grad_()
    value = standardised_kl(student, logits(1))
    flat = standardised_kl(torch.zeros(7, 5), logits(1))
    torch.testing.assert_close(value.detach(), flat)
    (slope,) = torch.autograd.grad(value.sum(), student)
    assert not slope.any()
    of_teacher = standardised_kl(logits(0).requires_grad_(), student.detach())
    assert of_teacher.isfinite().all()


def test_logits_of_small_spread_are_standardised_like_others() -> None:
    """1e-3 is no rounding: the shape of the answer is there."""
    student, teacher = 1e-3 * logits(0), logits(1)
    wanted = standardised_kl(logits(0), teacher)
    torch.testing.assert_close(standardised_kl(student, teacher), wanted, rtol=1e-3, atol=1e-3)
