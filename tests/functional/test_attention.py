"""Formulas of attention, selectivity and factors against loops written from the equations."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from stillhouse.errors import RecipeError
from stillhouse.functional import attention_gap, factor_gap, selectivity_gap

Map = list[list[float]]
"""Of each channel its positions."""


def maps(mine: tuple[int, ...], theirs: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(0)
    return torch.randn(mine, generator=made), torch.randn(theirs, generator=made)


def rows(x: Tensor) -> list[Map]:
    return x.flatten(2).double().tolist()


def unit(values: list[float]) -> list[float]:
    length = math.hypot(*values)
    return [value / length for value in values]


def attention(x: Map, power: float) -> list[float]:
    return unit([math.fsum(abs(v) ** power for v in place) / len(x) for place in zip(*x)])  # noqa: B905


def mmd(mine: Map, theirs: Map) -> float:
    def kernel(a: Map, b: Map) -> float:
        values = [sum(p * q for p, q in zip(x, y, strict=True)) ** 2 for x, y in product(a, b)]
        return math.fsum(values) / len(values)

    s, t = ([unit(channel) for channel in x] for x in (mine, theirs))
    return kernel(s, s) + kernel(t, t) - 2 * kernel(s, t)


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_attention_gap_equals_the_naive_loop(power: float) -> None:
    student, teacher = maps((5, 3, 4, 2), (5, 6, 4, 2))
    wanted = []
    for mine, theirs in zip(rows(student), rows(teacher), strict=True):
        both = zip(attention(mine, power), attention(theirs, power), strict=True)
        gaps = [(a - b) ** 2 for a, b in both]
        wanted.append(math.fsum(gaps) / len(gaps))
    value = attention_gap(student, teacher, power=power)
    assert value.tolist() == pytest.approx(wanted, rel=1e-5)


def test_attention_does_not_see_the_size_of_a_map() -> None:
    student, teacher = maps((2, 3, 4, 4), (2, 3, 4, 4))
    value = attention_gap(student, teacher)
    torch.testing.assert_close(attention_gap(7 * student, 0.1 * teacher), value)
    torch.testing.assert_close(attention_gap(-student, teacher.flip(1)), value)


@pytest.mark.parametrize(
    ("mine", "theirs", "side"),
    [((5, 3), (5, 4), 4), ((5, 9), (5, 12), 2), ((5, 1), (5, 1), 3), ((5, 8), (5, 8), 3)],
    ids=["by channels", "by positions", "one channel", "equal widths"],
)
def test_selectivity_gap_equals_the_naive_loop(
    mine: tuple[int, int], theirs: tuple[int, int], side: int
) -> None:
    student, teacher = maps((*mine, side, side), (*theirs, side, side))
    wanted = [mmd(a, b) for a, b in zip(rows(student), rows(teacher), strict=True)]
    value = selectivity_gap(student, teacher)
    assert value.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_selectivity_is_of_the_set_of_channels() -> None:
    """Neither their order, their sizes nor their signs count."""
    x = torch.rand(3, 6, 4, 4)
    other = x.flip(1) * torch.tensor([1.0, -2.0, 3.0, 4.0, 5.0, 6.0])[:, None, None]
    assert selectivity_gap(x, other).max().item() < 1e-6
    assert selectivity_gap(x, torch.rand(3, 6, 4, 4)).min().item() > 1e-3


@pytest.mark.parametrize("form", ["maps", "whole"])
def test_factor_gap_equals_the_naive_loop(form: str) -> None:
    student, teacher = maps((5, 3, 4, 2), (5, 3, 4, 2))
    wanted = []
    for pair in zip(rows(student), rows(teacher), strict=True):
        if form == "maps":
            mine, theirs = (attention(x, 2.0) for x in pair)
        else:
            mine, theirs = (unit([v for channel in x for v in channel]) for x in pair)
        gaps = [abs(a - b) for a, b in zip(mine, theirs, strict=True)]
        wanted.append(math.fsum(gaps) / len(gaps))
    assert factor_gap(student, teacher, form=form).tolist() == pytest.approx(wanted, rel=1e-5)


def test_factor_gap_has_two_forms() -> None:
    with pytest.raises(RecipeError, match="form is 'hole'; nearest: whole"):
        factor_gap(torch.ones(1, 2, 2), torch.ones(1, 2, 2), form="hole")
