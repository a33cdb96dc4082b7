"""Formulas in pieces: the same value and gradient as in one piece (memory: test_chunk_sizes.py)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional import (
    cross_entropy,
    decoupled_kl,
    inter_class_correlation,
    kl,
    normalised_kl,
    numerics,
    rkd_angle,
    rkd_distance,
    standardised_kl,
)
from stillhouse.functional.numerics import by_anchors, by_rows

WITH_TEACHER_AND_LABEL = [decoupled_kl, normalised_kl]
OVER_CLASSES = [
    cross_entropy,
    kl,
    standardised_kl,
    inter_class_correlation,
    *WITH_TEACHER_AND_LABEL,
]
OVER_PAIRS = [rkd_distance, rkd_angle]

Loss = Callable[..., Tensor]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of twelve values: two rows of five classes."""
    monkeypatch.setattr(numerics, "CHUNK", 12)
    monkeypatch.setattr(numerics, "MANY", 4)
    monkeypatch.setattr(numerics, "PIECES", 1)


def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerics, "CHUNK", 10**12)


def inputs_of(loss: Loss, rows: int = 7, classes: int = 5, **kind: Any) -> list[Tensor]:
    made = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(rows, classes, generator=made).to(**kind) for _ in range(2))
    label = torch.arange(rows) % classes
    if loss is cross_entropy:
        return [student, label]
    return [student, teacher, *([label] if loss in WITH_TEACHER_AND_LABEL else [])]


def with_gradients(loss: Loss, *inputs: Tensor) -> tuple[Tensor, ...]:
    """The value, and the gradient in each input of numbers."""
    given = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    value = loss(*given)
    weights = torch.linspace(0.5, 2.0, value.numel()).view(value.shape)
    learning = [x for x in given if x.requires_grad]
    return value.detach(), *torch.autograd.grad(value, learning, weights)


class Counted:
    """A formula that counts its calls."""

    def __init__(self, formula: Loss) -> None:
        self.formula, self.calls = formula, 0

    def __call__(self, *inputs: Tensor) -> Tensor:
        self.calls += 1
        return self.formula(*inputs)


def test_few_classes_or_few_values_are_never_cut() -> None:
    """At 420 x 10,000 there are 4.2 million values: eight pieces of 52 rows, and 4 rows are left.

    Rows of three million: one at a time.
    """
    for shape, calls in {
        (2048, 9_999): 1,
        (400, 10_000): 1,
        (420, 10_000): 9,
        (5000, 10_000): 12,
        (1, 2**22): 1,
        (3, 3_000_000): 3,
    }.items():
        formula = Counted(lambda s: s[:, 0])
        by_rows(formula, torch.zeros(1, 1).expand(shape))
        assert formula.calls == calls, shape


@pytest.mark.parametrize("chunk", [1, 12, 25])
@pytest.mark.parametrize("loss", OVER_CLASSES)
def test_losses_over_classes_are_the_same_in_pieces(
    loss: Loss, chunk: int, monkeypatch: pytest.MonkeyPatch, tiny: None
) -> None:
    """Rows of five: one at a time, also when a row is larger than a chunk; two; all but two."""
    monkeypatch.setattr(numerics, "CHUNK", chunk)
    pieces = with_gradients(loss, *inputs_of(loss))
    whole(monkeypatch)
    for mine, wanted in zip(pieces, with_gradients(loss, *inputs_of(loss)), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("loss", OVER_CLASSES)
def test_losses_over_many_classes_are_the_same_in_pieces(
    loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = inputs_of(loss, 300, 20_000)
    pieces = with_gradients(loss, *inputs)
    whole(monkeypatch)
    for mine, wanted in zip(pieces, with_gradients(loss, *inputs), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("loss", OVER_PAIRS)
def test_relational_losses_are_the_same_in_pieces(
    loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numerics, "PIECES", 1)
    inputs = inputs_of(loss, 9, 4)
    wanted = with_gradients(loss, *inputs)
    for chunk in (1, 2 * 81, 5 * 81):
        monkeypatch.setattr(numerics, "CHUNK", chunk)
        for mine, theirs in zip(with_gradients(loss, *inputs), wanted, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-7)


def soft_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    return -(teacher.softmax(1) * student.log_softmax(1)).sum(1)


def test_the_gradient_by_rows_is_exact(tiny: None) -> None:
    """Float64 finite differences, in the learner and, as with ``through=True``, in the target."""
    formula = Counted(soft_cross_entropy)
    student, teacher = (x.requires_grad_() for x in inputs_of(kl, dtype=torch.float64))
    by_rows(formula, student, teacher).sum().backward()
    assert formula.calls == 8, "four chunks, forward and backward"
    assert torch.autograd.gradcheck(partial(by_rows, soft_cross_entropy), (student, teacher))


def potential(anchors: slice, x: Tensor, scale: Tensor) -> Tensor:
    near = torch.exp(-(x[anchors, None] - x).square().sum(2) / scale)
    return torch.stack([near.sum(), near.square().sum()])


def test_the_gradient_by_anchors_is_exact(tiny: None) -> None:
    """Also in a second input that every anchor reads, and for several sums at once."""
    x = inputs_of(kl, dtype=torch.float64)[0].requires_grad_()
    scale = torch.tensor(20.0, dtype=torch.float64, requires_grad=True)
    formula = Counted(potential)
    by_anchors(formula, x, scale, width=5).sum().backward()
    assert formula.calls == 8, "four chunks, forward and backward"
    assert torch.autograd.gradcheck(partial(by_anchors, potential, width=5), (x, scale))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", OVER_CLASSES)
def test_half_precision_is_only_the_form_of_inputs_and_gradients(
    loss: Loss, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, tiny: None
) -> None:
    inputs = inputs_of(loss, dtype=dtype)
    value, *gradients = with_gradients(loss, *inputs)
    whole(monkeypatch)
    exact, *slopes = with_gradients(loss, *(x.float() if x.ndim == 2 else x for x in inputs))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, exact, rtol=1e-7, atol=1e-7)
    for gradient, slope in zip(gradients, slopes, strict=True):
        assert gradient.dtype == dtype
        assert torch.equal(gradient, slope.to(dtype))


def test_only_what_needs_a_gradient_gets_one(tiny: None) -> None:
    student, teacher = inputs_of(kl)
    for learns in [(True, False), (False, True)]:
        given = [
            x.clone().requires_grad_(y) for x, y in zip((student, teacher), learns, strict=True)
        ]
        kl(*given).sum().backward()
        assert [x.grad is not None for x in given] == list(learns)
    given = [x.clone().requires_grad_() for x in (student, teacher)]
    Term("kd", kl, ["a", "b"]).value(dict(zip("ab", given, strict=True))).backward()
    assert given[0].grad is not None
    assert given[1].grad is None


@pytest.mark.parametrize("loss", [*OVER_CLASSES, *OVER_PAIRS])
def test_without_gradients_the_value_is_the_same(loss: Loss, tiny: None) -> None:
    wanted = loss(*(x.requires_grad_(x.ndim == 2) for x in inputs_of(loss))).detach()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            value = loss(*inputs_of(loss))
        assert not value.requires_grad
        assert torch.equal(value, wanted)


def test_a_target_of_inference_mode_is_taken_as_in_one_piece(
    monkeypatch: pytest.MonkeyPatch, tiny: None
) -> None:
    student, _ = inputs_of(kl)
    with torch.inference_mode():
        teacher = inputs_of(kl)[1].clone()
    pieces = torch.autograd.grad(kl(student.requires_grad_(), teacher).sum(), student)[0]
    whole(monkeypatch)
    wanted = torch.autograd.grad(kl(student, teacher).sum(), student)[0]
    torch.testing.assert_close(pieces, wanted, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("loss", [*OVER_CLASSES, *OVER_PAIRS])
def test_a_compiler_sees_the_plain_formula(loss: Loss, tiny: None) -> None:
    inputs = inputs_of(loss)
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    pairs = zip(with_gradients(compiled, *inputs), with_gradients(loss, *inputs), strict=True)
    for mine, wanted in pairs:
        torch.testing.assert_close(mine, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("loss", [*OVER_CLASSES, *OVER_PAIRS])
def test_autocast_changes_nothing(loss: Loss, tiny: None) -> None:
    """Forward may run inside of it and backward outside: the pieces are float32 in both."""
    inputs = inputs_of(loss)
    wanted = with_gradients(loss, *inputs)
    with torch.autocast("cpu", torch.bfloat16):
        inside = with_gradients(loss, *inputs)
        given = [x.clone().requires_grad_(x.ndim == 2) for x in inputs]
        value = loss(*given)
    value.backward(torch.linspace(0.5, 2.0, value.numel()).view(value.shape))
    outside = (value.detach(), *(x.grad for x in given if x.requires_grad))
    for a, b, c in zip(inside, outside, wanted, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, c)


def test_second_derivatives_are_exact(tiny: None) -> None:
    """Or a gradient penalty would silently miss its part."""
    student, teacher = (x.requires_grad_() for x in inputs_of(kl, 3, dtype=torch.float64))
    assert torch.autograd.gradgradcheck(partial(by_rows, soft_cross_entropy), (student, teacher))
    scale = torch.tensor(20.0, dtype=torch.float64, requires_grad=True)
    formula = partial(by_anchors, potential, width=5)
    assert torch.autograd.gradgradcheck(formula, (student, scale))


@pytest.mark.parametrize("graph", [False, True])
def test_one_tensor_may_be_both_sides(
    graph: bool, monkeypatch: pytest.MonkeyPatch, tiny: None
) -> None:
    def both(x: Tensor) -> Tensor:
        return by_rows(soft_cross_entropy, x, x)

    x = inputs_of(kl)[0].requires_grad_()
    (mine,) = torch.autograd.grad(both(x).sum(), x, create_graph=graph)
    whole(monkeypatch)
    torch.testing.assert_close(mine, torch.autograd.grad(both(x).sum(), x)[0])


def test_other_numbers_of_rows_are_left_to_the_formula(tiny: None) -> None:
    """One teacher's row for all: in one piece it is broadcast, and so it is here."""
    student, teacher = inputs_of(kl)
    torch.testing.assert_close(kl(student, teacher[:1]), kl(student, teacher[:1].expand(7, 5)))
    with pytest.raises(RuntimeError, match=r"size of tensor a \(7\)|must match the size"):
        kl(student, teacher[:3])
    with pytest.raises(WiringError, match="the student tells 5 classes apart and the teacher 3"):
        kl(student, teacher[:, :3])


def test_rows_may_lie_in_any_order_in_memory(monkeypatch: pytest.MonkeyPatch, tiny: None) -> None:
    """Transposed logits, and rows that are all one."""
    student, teacher = (x.T.contiguous().T for x in inputs_of(kl))
    pieces = with_gradients(kl, student, teacher[:1].expand(7, 5))
    whole(monkeypatch)
    wanted = with_gradients(kl, student.contiguous(), teacher[:1].repeat(7, 1))
    for mine, theirs in zip(pieces, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-7)
