"""Maps compared at several scales, against loops in Python's own float64."""

import math

import pytest
import torch

from stillhouse.functional import hierarchical_context, mse


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
