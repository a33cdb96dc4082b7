"""The normalised loss of NKD against a loop in Python's own float64, and beside its neighbours."""

import math

import pytest
import torch
from torch import Tensor

from stillhouse.functional import decoupled_kl, normalised_kl

LABEL = torch.tensor([0, 1, 2, 3, 4, 0, 1])


def logits(seed: int, *shape: int) -> Tensor:
    return 3.0 * torch.randn(shape or (7, 5), generator=torch.Generator().manual_seed(seed))


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp(z / temperature) for z in row]
    return [power / math.fsum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("gamma", [0.0, 1.5, 3.5])
def test_it_equals_the_naive_loop(gamma: float, temperature: float) -> None:
    """As published, a cross-entropy of the other classes, less the entropy of the teacher's."""
    student, teacher = logits(0), logits(1)
    wanted = []
    for s, t, y in zip(student.tolist(), teacher.tolist(), LABEL.tolist(), strict=True):
        target = -softmax(t)[y] * math.log(softmax(s)[y])
        n_s = softmax([z for c, z in enumerate(s) if c != y], temperature)
        n_t = softmax([z for c, z in enumerate(t) if c != y], temperature)
        crossed = -math.fsum(a * math.log(b) for a, b in zip(n_t, n_s, strict=True))
        entropy = -math.fsum(a * math.log(a) for a in n_t)
        wanted.append(target + gamma * temperature**2 * (crossed - entropy))
    value = normalised_kl(student, teacher, LABEL, gamma=gamma, temperature=temperature)
    assert value.dtype == torch.float32
    assert value.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_the_defaults_are_golden() -> None:
    given = (logits(0), logits(1), LABEL)
    assert torch.equal(normalised_kl(*given), normalised_kl(*given, gamma=1.5, temperature=1.0))


def test_its_second_part_is_nckd() -> None:
    given = (logits(0), logits(1), LABEL)
    alone = normalised_kl(*given, gamma=0.0)
    both = normalised_kl(*given, gamma=2.0, temperature=3.0)
    nckd = decoupled_kl(*given, alpha=0.0, beta=2.0, temperature=3.0)
    torch.testing.assert_close(both - alone, nckd, rtol=1e-4, atol=1e-4)


def test_the_less_the_teacher_believes_the_label_the_less_it_pulls() -> None:
    """The gradient of the first part is p_t(y) times that of the cross-entropy."""
    student, teacher = logits(0).requires_grad_(), logits(1)
    (slope,) = torch.autograd.grad(normalised_kl(student, teacher, LABEL, gamma=0.0).sum(), student)
    sure = teacher.softmax(1)[range(7), LABEL][:, None]
    hard = student.softmax(1) - torch.nn.functional.one_hot(LABEL, 5)
    torch.testing.assert_close(slope, sure * hard)


def test_the_label_is_left_out_whatever_its_logit() -> None:
    student, teacher = logits(0), logits(1)
    usual = normalised_kl(student, teacher, LABEL) - normalised_kl(student, teacher, LABEL, gamma=0)
    student[range(7), LABEL] = 1e4
    teacher[range(7), LABEL] = 1e4
    far = normalised_kl(student, teacher, LABEL) - normalised_kl(student, teacher, LABEL, gamma=0)
    torch.testing.assert_close(far, usual)


def test_of_two_classes_only_the_first_part_is_left() -> None:
    given = (logits(0, 7, 2), logits(1, 7, 2), torch.arange(7) % 2)
    assert torch.equal(normalised_kl(*given), normalised_kl(*given, gamma=0.0))
