"""Feature formulas against loops in Python's own float64, written from the equations."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stillhouse.functional import (
    boundary_gap,
    hierarchical_context,
    log_sum,
    mse,
    partial_distance,
    smooth_l1,
    squared_distance,
)


@pytest.mark.parametrize("shape", [(5, 8), (5, 3, 4, 4), (5, 6, 3)])
def test_mse_equals_the_naive_loop(shape: tuple[int, ...]) -> None:
    made = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(shape, generator=made) for _ in range(2))
    wanted = []
    for mine, theirs in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        squares = [(s - t) ** 2 for s, t in zip(mine, theirs, strict=True)]
        wanted.append(math.fsum(squares) / len(squares))
    value = mse(student, teacher)
    assert value.shape == (5,)
    assert value.tolist() == pytest.approx(wanted, rel=1e-6)


def test_mse_weighs_maps_of_any_size_alike() -> None:
    """Golden: the mean over all but the batch, neither the sum nor half of it."""
    for shape in [(2, 3), (2, 3, 7, 7)]:
        assert mse(torch.full(shape, 3.0), torch.ones(shape)).tolist() == [4.0, 4.0]


def test_the_gradient_of_mse_is_the_closed_form() -> None:
    """d/ds = 2 (s - t) / D."""
    student, teacher = torch.tensor([[1.0, 3.0]], requires_grad=True), torch.tensor([[0.0, 1.0]])
    mse(student, teacher).sum().backward()
    assert student.grad is not None
    assert student.grad.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("shape", [(5, 8), (5, 3, 4, 4)])
def test_squared_distance_equals_the_naive_loop(shape: tuple[int, ...]) -> None:
    made = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(shape, generator=made) for _ in range(2))
    wanted = [
        math.fsum((s - t) ** 2 for s, t in zip(mine, theirs, strict=True))
        for mine, theirs in zip(
            student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True
        )
    ]
    assert squared_distance(student, teacher).tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("shape", [(5, 8), (5, 3, 4, 4)])
def test_partial_distance_equals_the_naive_loop(shape: tuple[int, ...]) -> None:
    made = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(shape, generator=made) for _ in range(2))
    wanted, left_out = [], 0
    for mine, theirs in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        value = 0.0
        for s, t in zip(mine, theirs, strict=True):
            if s <= t <= 0:
                left_out += 1
            else:
                value += (s - t) ** 2
        wanted.append(value)
    assert left_out > 0
    assert partial_distance(student, teacher).tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("shape", [(5, 8), (5, 3, 4, 4)])
def test_smooth_l1_equals_the_naive_loop(shape: tuple[int, ...]) -> None:
    made = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(shape, generator=made) for _ in range(2))
    wanted, seen = [], []
    for mine, theirs in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        gaps = [abs(s - t) for s, t in zip(mine, theirs, strict=True)]
        seen += gaps
        sizes = [gap * gap / 2 if gap < 1 else gap - 0.5 for gap in gaps]
        wanted.append(math.fsum(sizes) / len(sizes))
    assert min(seen) < 1 < max(seen), "both branches are met"
    assert smooth_l1(student, teacher).tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("distance", [mse, smooth_l1, log_sum, partial_distance])
def test_what_both_sides_mask_has_no_gap(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    inf = float("inf")
    student = torch.tensor([[1.0, -inf, 2.0], [0.0, -inf, 1.0]], requires_grad=True)
    teacher = torch.tensor([[0.5, -inf, 2.5], [3.0, -inf, 1.0]])
    value = distance(student, teacher)
    value.sum().backward()
    bare = distance(student.detach()[:, ::2], teacher[:, ::2])
    scale = 2 / 3 if distance in (mse, smooth_l1) else 1.0  # means over three places, not two
    torch.testing.assert_close(value.detach(), bare * scale)
    assert student.grad is not None
    assert student.grad[:, 1].tolist() == [0.0, 0.0]
    assert torch.isfinite(student.grad).all()


def test_smooth_l1_pulls_no_harder_than_1() -> None:
    student = torch.tensor([[0.5, 100.0]], requires_grad=True)
    smooth_l1(student, torch.zeros(1, 2)).sum().backward()
    assert student.grad is not None
    assert student.grad.tolist() == [[0.25, 0.5]]


@pytest.mark.parametrize("margin", [0.5, 1.0])
@pytest.mark.parametrize("shape", [(5, 8), (5, 3, 4, 4)])
def test_boundary_gap_equals_the_naive_loop(shape: tuple[int, ...], margin: float) -> None:
    made = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(shape, generator=made) for _ in range(2))
    wanted = []
    for mine, theirs in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        total = 0.0
        for s, t in zip(mine, theirs, strict=True):
            if t > 0 and s <= margin:
                total += (s - margin) ** 2
            if t <= 0 and s > -margin:
                total += (s + margin) ** 2
        wanted.append(total)
    value = boundary_gap(student, teacher, margin=margin)
    assert value.tolist() == pytest.approx(wanted, rel=1e-6)
    after = boundary_gap(student, teacher.relu(), margin=margin)
    assert after.tolist() == value.tolist(), "a ReLU keeps the side of a unit"


def test_boundary_gap_is_zero_beyond_the_margin_only() -> None:
    student = torch.tensor([[1.0, -1.0, 5.0], [0.0, 0.0, 0.0]])
    teacher = torch.tensor([[0.1, -0.1, 9.0], [0.1, -0.1, 9.0]])
    assert boundary_gap(student, teacher).tolist() == [0.0, 3.0]


def bins(side: int, scale: int) -> list[range]:
    return [range(k * side // scale, math.ceil((k + 1) * side / scale)) for k in range(scale)]


def pooled(rows: list[list[float]], scale: int) -> list[list[float]]:
    return [
        [
            math.fsum(rows[i][j] for i in down for j in across) / (len(down) * len(across))
            for across in bins(len(rows[0]), scale)
        ]
        for down in bins(len(rows), scale)
    ]


def gap(s: list[list[list[float]]], t: list[list[list[float]]]) -> float:
    squares = [
        (a - b) ** 2
        for mine, theirs in zip(s, t, strict=True)
        for row, other in zip(mine, theirs, strict=True)
        for a, b in zip(row, other, strict=True)
    ]
    return math.fsum(squares) / len(squares)


def by_loop(s: list[list[list[float]]], t: list[list[list[float]]]) -> float:
    height, weight, total, value = len(s[0]), 1.0, 1.0, gap(s, t)
    for scale in (4, 2, 1):
        if scale >= height:
            continue
        weight /= 2
        total += weight
        coarse = ([pooled(rows, scale) for rows in x] for x in (s, t))
        value += weight * gap(*coarse)
    return value / total


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 8])
def test_it_equals_the_naive_loop(side: int) -> None:
    made = torch.Generator().manual_seed(side)
    s, t = (torch.randn(3, 2, side, side, generator=made) for _ in range(2))
    wanted = [by_loop(a, b) for a, b in zip(s.double().tolist(), t.double().tolist(), strict=True)]
    assert hierarchical_context(s, t).tolist() == pytest.approx(wanted, rel=1e-5)


def test_its_weights_are_golden() -> None:
    """A gap that is the same everywhere is itself at every scale: the weights sum to 1."""
    ones = torch.ones(1, 2, 8, 8)
    assert hierarchical_context(3 * ones, ones).item() == pytest.approx(4.0)
    stripes = ones * torch.tensor([1.0, -1.0] * 4)  # cancels at every coarser scale
    assert hierarchical_context(stripes, 0 * ones).item() == pytest.approx(1 / 1.875)


def test_a_vector_is_a_map_of_one_position() -> None:
    s, t = torch.randn(2, 5, 7).unbind(0)
    torch.testing.assert_close(hierarchical_context(s, t), mse(s, t))
    torch.testing.assert_close(
        hierarchical_context(s[..., None, None], t[..., None, None]), mse(s, t)
    )


def test_the_smaller_side_counts() -> None:
    s, t = torch.randn(2, 1, 2, 3, 16).unbind(0)
    coarse = [torch.nn.functional.adaptive_avg_pool2d(s - t, scale) for scale in (2, 1)]
    wanted = mse(s, t) + sum(
        w * x.square().flatten(1).mean(1) for w, x in zip((0.5, 0.25), coarse, strict=True)
    )
    torch.testing.assert_close(hierarchical_context(s, t), wanted / 1.75)
