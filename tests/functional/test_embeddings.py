"""Formulas on directions against loops in Python's own float64, written from the equations."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stillhouse.functional import contrastive, cosine_distance, normalised_l2, numerics
from stillhouse.functional.embeddings import _contrast

Row = list[float]


def pair(rows: int = 6, width: int = 5) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(0)
    return torch.randn(rows, width, generator=made), 3 * torch.randn(rows, width, generator=made)


def cosine(a: Row, b: Row) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def naive_contrastive(student: list[Row], teacher: list[Row], temperature: float) -> float:
    total = 0.0
    for own, mine in enumerate(student):
        scores = [math.exp(cosine(mine, theirs) / temperature) for theirs in teacher]
        total -= math.log(scores[own] / math.fsum(scores))
    return total / len(student)


def test_cosine_distance_equals_the_naive_loop() -> None:
    student, teacher = pair()
    wanted = [1 - cosine(a, b) for a, b in zip(student.tolist(), teacher.tolist(), strict=True)]
    assert cosine_distance(student, teacher).tolist() == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_normalised_l2_equals_the_naive_loop() -> None:
    student, teacher = pair()
    wanted = []
    for a, b in zip(student.tolist(), teacher.tolist(), strict=True):
        gaps = [x / math.hypot(*a) - y / math.hypot(*b) for x, y in zip(a, b, strict=True)]
        wanted.append(math.fsum(gap * gap for gap in gaps))
    assert normalised_l2(student, teacher).tolist() == pytest.approx(wanted, rel=1e-5)
    twice = 2 * cosine_distance(student, teacher)
    torch.testing.assert_close(normalised_l2(student, teacher), twice, rtol=1e-5, atol=1e-6)


def test_normalised_l2_does_not_grow_with_the_batch() -> None:
    """The authors' form is the sum over the batch: B times the mean that a term takes."""
    student, teacher = pair()
    once = normalised_l2(student, teacher)
    twice = normalised_l2(student.repeat(2, 1), teacher.repeat(2, 1))
    torch.testing.assert_close(twice.mean(), once.mean())
    directions = [x / x.norm(dim=1, keepdim=True) for x in (student, teacher)]
    theirs = (directions[0] - directions[1]).square().sum()
    torch.testing.assert_close(theirs, len(student) * once.mean())


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("rows", [2, 6])
def test_contrastive_equals_the_naive_loop(temperature: float, rows: int) -> None:
    student, teacher = pair(rows)
    value = contrastive(student, teacher, temperature=temperature)
    wanted = naive_contrastive(student.tolist(), teacher.tolist(), temperature)
    assert value.item() == pytest.approx(wanted, rel=1e-5)


def test_the_default_temperature_is_golden() -> None:
    student, teacher = pair()
    assert torch.equal(
        contrastive(student, teacher), contrastive(student, teacher, temperature=0.07)
    )


def test_contrastive_knows_chance_and_the_match() -> None:
    """ln(B) where all teachers are alike; about 0 where each is met and all are apart."""
    student, _ = pair(6, 6)
    alike = torch.ones(6, 6)
    assert contrastive(student, alike).item() == pytest.approx(math.log(6), rel=1e-6)
    assert contrastive(5 * torch.eye(6), torch.eye(6)).item() < 1e-4
    shifted = contrastive(torch.eye(6).roll(1, 0), torch.eye(6)).item()
    assert shifted == pytest.approx(1 / 0.07, rel=1e-4), "the positive is the own row"


def test_contrastive_in_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    (student, teacher), found = pair(), []
    for chunk in (numerics.CHUNK, 8):
        monkeypatch.setattr(numerics, "CHUNK", chunk)
        mine = student.clone().requires_grad_()
        value = contrastive(mine, teacher)
        found.append((value.detach(), *torch.autograd.grad(value, mine)))
    for whole, pieces in zip(*found, strict=True):
        torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-6)


def test_gradients_agree_with_finite_differences_in_float64() -> None:
    """Of what lies under the cast to float32."""
    student, teacher = (x.double() for x in pair(3, 4))
    at = slice(0, 3)
    assert torch.autograd.gradcheck(
        lambda x: _contrast(at, x, teacher, temperature=0.5), student.requires_grad_()
    )


PER_EXAMPLE = [cosine_distance, normalised_l2]


@pytest.mark.parametrize("loss", [*PER_EXAMPLE, contrastive])
def test_the_length_of_a_vector_does_not_matter(loss: Callable[..., Tensor]) -> None:
    student, teacher = pair()
    torch.testing.assert_close(loss(1e3 * student, 1e-3 * teacher), loss(student, teacher))
    maps = student.view(6, 5, 1, 1), teacher.view(6, 5, 1, 1)
    assert torch.equal(loss(*maps), loss(student, teacher))


@pytest.mark.parametrize(("loss", "alone"), [(cosine_distance, 1.0), (normalised_l2, 1.0)])
def test_an_embedding_of_zeros_has_no_direction_and_a_small_gradient(
    loss: Callable[..., Tensor], alone: float
) -> None:
    student, teacher = torch.zeros(2, 3, requires_grad=True), torch.eye(3)[:2]
    value = loss(student, teacher)
    assert value.tolist() == [alone, alone]
    (gradient,) = torch.autograd.grad(value.sum(), student)
    assert gradient.abs().max() <= 2.0, "not the reciprocal of an epsilon"
