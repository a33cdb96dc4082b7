"""Formulas with made-up targets against loops in Python's own float64, and their gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.errors import RecipeError
from stillhouse.functional import smoothed_cross_entropy, virtual_kl
from stillhouse.functional.targets import (
    _smoothed_cross_entropy,
    _virtual_kl,
    _virtual_teacher,
    virtual_teacher,
)
from stillhouse.testing import check_loss

FORMS = ["paper", "code"]


def logits(classes: int = 5, *, size: float = 3.0, rows: int = 7) -> Tensor:
    made = torch.Generator().manual_seed(classes)
    return size * torch.randn(rows, classes, generator=made, dtype=torch.float64)


def labels(classes: int, rows: int = 7) -> Tensor:
    return torch.arange(rows) % classes


def log_softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    scaled = [z / temperature for z in row]
    top = max(scaled)
    total = top + math.log(math.fsum(math.exp(z - top) for z in scaled))
    return [z - total for z in scaled]


@pytest.mark.parametrize("off_target", ["uniform", "others"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("classes", [2, 5, 100])
def test_smoothed_cross_entropy_equals_the_naive_loop(
    classes: int, smoothing: float, off_target: str
) -> None:
    student, label = logits(classes), labels(classes)
    wanted = []
    for row, y in zip(student.tolist(), label.tolist(), strict=True):
        target = [smoothing / classes] * classes
        target[y] += 1 - smoothing
        if off_target == "others":
            target = [smoothing / (classes - 1)] * classes
            target[y] = 1 - smoothing
        assert math.fsum(target) == pytest.approx(1.0)
        wanted.append(-math.fsum(q * p for q, p in zip(target, log_softmax(row), strict=True)))
    value = smoothed_cross_entropy(student, label, smoothing=smoothing, off_target=off_target)
    assert value.dtype == torch.float32
    assert value.tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_uniform_is_what_torch_does(smoothing: float) -> None:
    student, label = logits(10).float(), labels(10)
    theirs = F.cross_entropy(student, label, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(
        smoothed_cross_entropy(student, label, smoothing=smoothing), theirs, rtol=1e-5, atol=1e-6
    )


def test_the_default_smoothing_is_golden() -> None:
    """By hand: 0.95 log(1 + e^-2) + 0.05 log(1 + e^2); the others alone: 0.9 and 0.1."""
    student, label = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    near, far = math.log1p(math.exp(-2)), math.log1p(math.exp(2))
    value = smoothed_cross_entropy(student, label).item()
    assert value == pytest.approx(0.95 * near + 0.05 * far, rel=1e-6)
    value = smoothed_cross_entropy(student, label, off_target="others").item()
    assert value == pytest.approx(0.9 * near + 0.1 * far, rel=1e-6)


def test_the_two_conventions_are_one_family() -> None:
    """'others' at e is 'uniform' at e K/(K-1)."""
    student, label = logits(10), labels(10)
    others = _smoothed_cross_entropy(student, label, 0.18, "others")
    uniform = _smoothed_cross_entropy(student, label, 0.2, "uniform")
    torch.testing.assert_close(others, uniform, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("correct", [0.0, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_virtual_teacher_is_equation_8(classes: int, correct: float) -> None:
    given = virtual_teacher(labels(classes), classes, correct=correct)
    assert given.dtype == torch.float32
    for row, y in zip(given.tolist(), labels(classes).tolist(), strict=True):
        wanted = [correct if c == y else (1 - correct) / (classes - 1) for c in range(classes)]
        assert row == pytest.approx(wanted, rel=1e-6)
    assert given.sum(1).tolist() == pytest.approx([1.0] * 7, rel=1e-5)


@pytest.mark.parametrize(
    ("classes", "temperature", "said"),
    [(100, 20, 0.01050), (100, 40, 0.01025), (100, 10, 0.01103), (10, 20, 0.1045),
     (1000, 20, 0.00105)],
)  # fmt: skip
def test_softened_it_is_almost_uniform(classes: int, temperature: float, said: float) -> None:
    """What is left for the label, to the digits that are known of the released settings."""
    teacher = virtual_teacher(torch.tensor([1]), classes)
    assert (teacher / temperature).softmax(1)[0, 1].item() == pytest.approx(said, rel=7e-4)


def naive_kl(
    student: Tensor, label: Tensor, correct: float, temperature: float, form: str
) -> list[float]:
    values = []
    for row, y in zip(student.tolist(), label.tolist(), strict=True):
        rest = (1 - correct) / (len(row) - 1)
        teacher = log_softmax([correct if c == y else rest for c in range(len(row))], temperature)
        mine = log_softmax(row, temperature if form == "paper" else 1.0)
        values.append(math.fsum(math.exp(p) * (p - q) for p, q in zip(teacher, mine, strict=True)))
    return values


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [0.01, 1.0, 20.0, 40.0])
@pytest.mark.parametrize(("classes", "correct"), [(2, 0.9), (5, 0.99), (100, 0.99), (100, 1.0)])
def test_virtual_kl_equals_the_naive_loop(
    classes: int, correct: float, temperature: float, form: str
) -> None:
    """In the paper form, where values are as small as 1e-4, to 1e-7: logarithms lose 1e-6."""
    student, label = logits(classes).float(), labels(classes)
    wanted = naive_kl(student, label, correct, temperature, form)
    value = virtual_kl(student, label, correct=correct, temperature=temperature, form=form)
    assert value.dtype == torch.float32
    assert value.tolist() == pytest.approx(wanted, rel=5e-5, abs=1e-7)
    assert min(value.tolist()) >= 0.0


def test_the_defaults_of_virtual_kl_are_golden() -> None:
    student, label = logits(10).float(), labels(10)
    wanted = naive_kl(student, label, 0.99, 20.0, "paper")
    assert virtual_kl(student, label).tolist() == pytest.approx(wanted, rel=5e-5, abs=1e-7)


@pytest.mark.parametrize("temperature", [1.0, 20.0])
def test_the_gradients_of_virtual_kl_are_the_closed_forms(temperature: float) -> None:
    """Paper: (q - p) / T with q = softmax(z / T). Code: softmax(z) - p. No T squared in either."""
    student, label = logits(10).requires_grad_(), labels(10)
    p = (_virtual_teacher(label, 10, 0.99, torch.float64) / temperature).softmax(1)
    for form, wanted in {
        "paper": ((student / temperature).softmax(1) - p) / temperature,
        "code": student.softmax(1) - p,
    }.items():
        value = _virtual_kl(student, label, 0.99, temperature, form)
        (gradient,) = torch.autograd.grad(value.sum(), student)
        torch.testing.assert_close(gradient, wanted.detach(), rtol=1e-12, atol=1e-15)


def relative(one: Tensor, other: Tensor) -> float:
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize(
    ("temperature", "roughly", "closely"), [(20.0, 0.12, 0.04), (200.0, 0.11, 4e-3)]
)
def test_at_a_high_temperature_the_paper_form_only_pulls_logits_to_their_mean(
    temperature: float, roughly: float, closely: float
) -> None:
    """Its gradient is (z - mean z) / (K T^2), less what the label takes: (p^d - 1/K) / (K T^2).

    The second part does not fade with T, but is small beside logits of 100 classes; with both,
    the error is of the order of 1/T.
    """
    student, label = logits(100, size=1.0, rows=64).requires_grad_(), labels(100, 64)
    value = _virtual_kl(student, label, 0.99, temperature, "paper").sum()
    (gradient,) = torch.autograd.grad(value, student)
    pull = (student - student.mean(1, True)).detach()
    push = _virtual_teacher(label, 100, 0.99, torch.float64) - 0.01
    faint = 100 * temperature**2
    assert relative(gradient, pull / faint) < roughly
    assert F.cosine_similarity(gradient, pull).min() > 0.99
    assert relative(gradient, (pull - push) / faint) < closely
    hard = F.cross_entropy(student, label, reduction="sum")
    (usual,) = torch.autograd.grad(hard, student)
    size = (gradient.norm() / usual.norm()).item()
    assert size == pytest.approx(1 / 4000 * (20 / temperature) ** 2, rel=0.05)


def test_gradients_agree_with_finite_differences_in_float64() -> None:
    student, label = logits(4, rows=3).requires_grad_(), labels(4, 3)
    for off_target in ("uniform", "others"):
        given = (label, 0.3, off_target)
        assert torch.autograd.gradcheck(lambda z, *g: _smoothed_cross_entropy(z, *g),
                                        (student, *given))  # fmt: skip
    for form in FORMS:
        assert torch.autograd.gradcheck(lambda z, *g: _virtual_kl(z, *g),
                                        (student, label, 0.9, 3.0, form))  # fmt: skip


@pytest.mark.parametrize("options", [{"form": "code"}, {"temperature": 1.0}, {"correct": 1.0}])
def test_virtual_kl_keeps_the_contract_with_any_settings(options: dict[str, object]) -> None:
    check_loss(virtual_kl, kind="labels", options=options)


@pytest.mark.parametrize("options", [{"off_target": "others"}, {"smoothing": 0.0}])
def test_smoothed_cross_entropy_keeps_the_contract_with_any_settings(
    options: dict[str, object],
) -> None:
    check_loss(smoothed_cross_entropy, kind="labels", options=options)


def test_what_does_not_exist_is_refused() -> None:
    student, label = logits(5), labels(5)
    with pytest.raises(RecipeError, match="off_target is 'other'; nearest: others"):
        smoothed_cross_entropy(student, label, off_target="other")
    with pytest.raises(RecipeError, match="form is 'papr'; nearest: paper"):
        virtual_kl(student, label, form="papr")
    with pytest.raises(RecipeError, match="classes is 1; a virtual teacher tells at least 2"):
        virtual_teacher(label * 0, 1)
    for loss in (smoothed_cross_entropy, virtual_kl):
        with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
            loss(student, label + 3)
