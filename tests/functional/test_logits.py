"""Response formulas against loops in Python's own float64, written from the equations."""

import math

import pytest
import torch
from torch import Tensor

from stillhouse.functional import cross_entropy, decoupled_kl, kl

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


LABEL = torch.tensor([0, 1, 2, 3, 4, 0, 1])


def naive_parts(student: Tensor, teacher: Tensor, label: Tensor, t: float) -> list[tuple]:
    """TCKD, NCKD and 1 - p_t(y) of each example, from the equations."""
    parts = []
    for mine, theirs, y in zip(student.tolist(), teacher.tolist(), label.tolist(), strict=True):
        q, p = softmax(mine, t), softmax(theirs, t)
        tckd = p[y] * math.log(p[y] / q[y]) + (1 - p[y]) * math.log((1 - p[y]) / (1 - q[y]))
        nckd = 0.0
        for c in range(len(p)):
            if c != y:
                n, m = p[c] / (1 - p[y]), q[c] / (1 - q[y])
                nckd += n * math.log(n / m)
        parts.append((t * t * tckd, t * t * nckd, 1 - p[y]))
    return parts


@pytest.mark.parametrize("temperature", SOFT)
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 8.0), (0.0, 1.0), (1.0, 0.0), (0.3, 2.0)])
def test_decoupled_kl_equals_the_naive_loop(temperature: float, alpha: float, beta: float) -> None:
    student, teacher = logits(0), logits(1)
    parts = naive_parts(student, teacher, LABEL, temperature)
    wanted = [alpha * tckd + beta * nckd for tckd, nckd, _ in parts]
    value = decoupled_kl(student, teacher, LABEL, alpha=alpha, beta=beta, temperature=temperature)
    near(value, wanted, 2e-4 if temperature > 4 else 2e-5)


@pytest.mark.parametrize("temperature", SOFT)
def test_kl_is_its_two_parts_coupled(temperature: float) -> None:
    """KD = TCKD + (1 - p_t(y)) NCKD."""
    student, teacher = logits(0), logits(1)
    given = (student, teacher, LABEL)
    tckd = decoupled_kl(*given, alpha=1.0, beta=0.0, temperature=temperature)
    nckd = decoupled_kl(*given, alpha=0.0, beta=1.0, temperature=temperature)
    rest = 1 - (teacher / temperature).softmax(1).gather(1, LABEL[:, None])[:, 0]
    wanted = kl(student, teacher, temperature=temperature)
    torch.testing.assert_close(tckd + rest * nckd, wanted, rtol=1e-4, atol=1e-4)


def test_the_defaults_of_decoupled_kl_are_golden() -> None:
    """16 (TCKD + 8 NCKD) at T = 4: alpha 1, beta 8, T squared inside."""
    student, teacher = logits(0), logits(1)
    wanted = [tckd + 8 * nckd for tckd, nckd, _ in naive_parts(student, teacher, LABEL, 4.0)]
    near(decoupled_kl(student, teacher, LABEL), wanted, 2e-5)


def test_of_two_classes_the_parts_are_kl_and_nothing() -> None:
    student, teacher, label = logits(0, 7, 2), logits(1, 7, 2), torch.arange(7) % 2
    value = decoupled_kl(student, teacher, label, alpha=0.5)
    torch.testing.assert_close(value, 0.5 * kl(student, teacher))
    assert decoupled_kl(student, teacher, label, alpha=0.0).tolist() == [0.0] * 7


def test_the_gradient_of_decoupled_kl_is_the_closed_form() -> None:
    """Of NCKD: T (m - n) over the other classes, and nothing for the label's logit.

    Of TCKD: T (q(y) - p(y)) for the label's, and its negative shared by the others as m.
    """
    temperature = 2.0
    for alpha, beta in [(1.0, 0.0), (0.0, 1.0)]:
        student, teacher = logits(0).requires_grad_(), logits(1)
        decoupled_kl(
            student, teacher, LABEL, alpha=alpha, beta=beta, temperature=temperature
        ).sum().backward()
        for row, (mine, theirs, y) in enumerate(
            zip(student.tolist(), teacher.tolist(), LABEL.tolist(), strict=True)
        ):
            q, p = softmax(mine, temperature), softmax(theirs, temperature)
            wanted = []
            for c in range(5):
                m, n = q[c] / (1 - q[y]), p[c] / (1 - p[y])
                pull = q[y] - p[y] if c == y else -(q[y] - p[y]) * m
                push = 0.0 if c == y else m - n
                wanted.append(temperature * (alpha * pull + beta * push))
            near(student.grad[row], wanted)


def test_a_target_far_above_the_others_leaves_their_part_alone() -> None:
    """The logit of the label does not matter to NCKD, be it +1e4: a mask of -1000 would fail."""
    student, teacher = logits(0), logits(1)
    usual = decoupled_kl(student, teacher, LABEL, alpha=0.0)
    student[range(7), LABEL] = 1e4
    teacher[range(7), LABEL] = 1e4
    far = decoupled_kl(student, teacher, LABEL, alpha=0.0)
    torch.testing.assert_close(far, usual)


def test_a_certain_teacher_and_a_wrong_student_are_finite() -> None:
    """TCKD at T = 1: log(1 / p_s(y)) = 200 where p_s(y) is below float32's smallest number."""
    student, teacher = torch.tensor([[0.0, 200.0, 0.0]]), torch.tensor([[200.0, 0.0, 0.0]])
    student.requires_grad_()
    value = decoupled_kl(student, teacher, torch.tensor([0]), beta=0.0, temperature=1.0)
    near(value.detach(), [200.0])
    value.sum().backward()
    near(student.grad[0], [-1.0, 1.0, 0.0])


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        decoupled_kl(logits(0), logits(1), LABEL + 3)
