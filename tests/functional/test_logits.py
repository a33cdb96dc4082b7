"""Response formulas against loops in Python's own float64, written from the equations."""

import math

import pytest
import torch
from torch import Tensor

from stillhouse.functional import cross_entropy, kl

SOFT = [0.5, 1.0, 4.0, 20.0]


def logits(seed: int, *shape: int) -> Tensor:
    return 3.0 * torch.randn(shape or (7, 5), generator=torch.Generator().manual_seed(seed))


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp(z / temperature) for z in row]
    return [power / math.fsum(powers) for power in powers]


def naive_kl(student: Tensor, teacher: Tensor, temperature: float) -> list[float]:
    values = []
    for mine, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        total = 0.0
        for q, p in zip(softmax(mine, temperature), softmax(theirs, temperature), strict=True):
            total += p * (math.log(p) - math.log(q))
        values.append(temperature * temperature * total)
    return values


def near(value: Tensor, wanted: list[float], tolerance: float = 1e-5) -> None:
    assert value.dtype == torch.float32
    assert value.tolist() == pytest.approx(wanted, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("temperature", SOFT)
@pytest.mark.parametrize("classes", [2, 5, 100])
def test_kl_equals_the_naive_loop(temperature: float, classes: int) -> None:
    student, teacher = logits(0, 7, classes), logits(1, 7, classes)
    wanted = naive_kl(student, teacher, temperature)  # float32 keeps fewer digits at a high T
    near(kl(student, teacher, temperature=temperature), wanted, 1e-4 if temperature > 4 else 1e-5)


def test_cross_entropy_equals_the_naive_loop() -> None:
    student, label = logits(0), torch.tensor([0, 1, 2, 3, 4, 0, 1])
    wanted = [-math.log(softmax(row)[y]) for row, y in zip(student.tolist(), label, strict=True)]
    near(cross_entropy(student, label), wanted)


def test_the_defaults_of_kl_are_golden() -> None:
    """Temperature 4, sum over classes, T squared inside, teacher first: 16 * KL(p_t || p_s).

    By hand, with a = e^(1/4): p_t = (a, 1, 1) / (a + 2), p_s = (1, 1, a) / (a + 2), so
    KL = (a - 1) / (a + 2) * 1/4.
    """
    student, teacher = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    a = math.exp(0.25)
    by_hand = 16 * 0.25 * (a - 1) / (a + 2)
    assert by_hand == pytest.approx(0.3459479, abs=1e-7)
    near(kl(student, teacher), [by_hand], 1e-6)


def test_the_teacher_comes_first_in_kl() -> None:
    """KL is not symmetric: a certain teacher and an unsure student is log 2, not infinity."""
    unsure, certain = torch.tensor([[0.0, 0.0]]), torch.tensor([[50.0, 0.0]])
    near(kl(unsure, certain, temperature=1.0), [math.log(2)])
    assert kl(certain, unsure, temperature=1.0).item() > 10


def test_kl_is_summed_over_classes_whatever_their_number() -> None:
    """A mean over classes would be C times smaller; classes that nobody believes in add nothing."""
    student, teacher = logits(0, 4, 3), logits(1, 4, 3)
    never = torch.full((4, 997), -1e4)
    wide = kl(torch.cat([student, never], 1), torch.cat([teacher, never], 1))
    torch.testing.assert_close(wide, kl(student, teacher))


@pytest.mark.parametrize("temperature", SOFT)
def test_kl_ignores_shifts_of_either_side(temperature: float) -> None:
    student, teacher = logits(0), logits(1)
    shifted = kl(student + 7.0, teacher - logits(2, 7, 1), temperature=temperature)
    value = kl(student, teacher, temperature=temperature)
    torch.testing.assert_close(shifted, value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("temperature", SOFT)
def test_the_gradient_of_kl_is_the_closed_form(temperature: float) -> None:
    """d/ds T^2 KL = T (softmax(s / T) - softmax(t / T)): its size does not fade with T."""
    student, teacher = logits(0).requires_grad_(), logits(1)
    kl(student, teacher, temperature=temperature).sum().backward()
    for row, mine, theirs in zip(student.grad, student.tolist(), teacher.tolist(), strict=True):
        pairs = zip(softmax(mine, temperature), softmax(theirs, temperature), strict=True)
        near(row, [temperature * (q - p) for q, p in pairs])


def test_the_gradient_of_cross_entropy_is_the_closed_form() -> None:
    """d/ds CE = softmax(s) - one_hot(y)."""
    student, label = logits(0).requires_grad_(), torch.tensor([0, 1, 2, 3, 4, 0, 1])
    cross_entropy(student, label).sum().backward()
    for row, mine, y in zip(student.grad, student.tolist(), label.tolist(), strict=True):
        near(row, [q - (c == y) for c, q in enumerate(softmax(mine))])


def test_at_a_high_temperature_kl_is_half_the_squared_gap_of_centred_logits() -> None:
    """Hinton et al., section 2.1: sum_c (s_c - t_c)^2 / (2 C) for zero-mean logits."""
    student, teacher = logits(0), logits(1)
    student, teacher = student - student.mean(1, True), teacher - teacher.mean(1, True)
    limit = (student - teacher).square().sum(1) / (2 * student.shape[1])
    torch.testing.assert_close(kl(student, teacher, temperature=300.0), limit, rtol=0.02, atol=0.02)
