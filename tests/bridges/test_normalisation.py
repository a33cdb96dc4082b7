"""Normalisations: what they are by hand, what they do in eval mode, and where batches are poor."""

import math

import pytest
import torch
from torch import Tensor, nn

from stillhouse.bridges import (
    BatchStatistics,
    GroupStatistics,
    UnitLength,
    Whiten,
    normaliser,
)
from stillhouse.errors import WiringError

KINDS = ["none", "l2", "batch", "group", "whiten"]


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def as_rows(x: Tensor) -> Tensor:
    """[B, C, H, W] as [B H W, C]."""
    return x.movedim(1, -1).flatten(0, -2)


def test_batch_statistics_equal_the_naive_loop() -> None:
    x = 3.0 + 2.0 * features(6, 4)
    value = BatchStatistics()(x)
    for j in range(4):
        column = x[:, j].tolist()
        mean = math.fsum(column) / 6
        variance = math.fsum((z - mean) ** 2 for z in column) / 6
        wanted = [(z - mean) / math.sqrt(variance + 1e-4) for z in column]
        assert value[:, j].tolist() == pytest.approx(wanted, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5, 2)])
def test_batch_statistics_are_batch_norm_in_training_with_its_gradient(
    shape: tuple[int, ...],
) -> None:
    x, up = features(*shape).requires_grad_(), features(*shape, seed=1)
    theirs = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(4, eps=1e-4, affine=False)
    mine, wanted = BatchStatistics()(x), theirs(x)
    torch.testing.assert_close(mine, wanted)
    gradients = [torch.autograd.grad((y * up).sum(), x)[0] for y in (mine, wanted)]
    torch.testing.assert_close(*gradients)


def test_unit_length_is_the_root_of_the_width() -> None:
    """The mean square of each vector is 1, as after batch statistics."""
    x = 5 * features(6, 4)
    value = UnitLength()(x)
    torch.testing.assert_close(value.square().mean(1), torch.ones(6))
    torch.testing.assert_close(value, 2 * x / x.norm(dim=1, keepdim=True))
    maps = features(2, 4, 3, 3)
    torch.testing.assert_close(as_rows(UnitLength()(maps)), UnitLength()(as_rows(maps)))


def test_groups_are_the_largest_number_that_divides_and_leaves_four() -> None:
    dims = {512: 16, 64: 16, 48: 12, 32: 8, 20: 5, 12: 3, 7: 1, 6: 1, 4: 1, 3: 1, 1: 1}
    assert {dim: GroupStatistics(dim).groups for dim in dims} == dims
    value = GroupStatistics(12)(features(5, 12)).view(5, 3, 4)
    torch.testing.assert_close(value.mean(2), torch.zeros(5, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(value.square().mean(2), torch.ones(5, 3), atol=1e-2, rtol=0)


@pytest.mark.parametrize("shape", [(50, 6), (5, 6, 4, 4)])
def test_whitened_features_are_uncorrelated_at_variance_1(shape: tuple[int, ...]) -> None:
    mixed = torch.einsum("bc...,cd->bd...", features(*shape), features(6, 6, seed=1))
    rows = as_rows(Whiten()(mixed + 7.0))
    torch.testing.assert_close(rows.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(rows.T @ rows / len(rows), torch.eye(6), atol=2e-2, rtol=0)


@pytest.mark.parametrize("copies", [1, 300])
def test_a_batch_that_lacks_directions_is_whitened_in_those_it_has(copies: int) -> None:
    """Fewer examples than dimensions, or dimensions that are copies of each other."""
    x = (features(5, 8) if copies == 1 else features(40, 1).expand(-1, copies)).clone()
    x.requires_grad_()
    value = Whiten()(x)
    covariance = value.detach().double().T @ value.detach().double() / len(x)
    sizes = torch.linalg.eigvalsh(covariance)
    rank = 4 if copies == 1 else 1
    torch.testing.assert_close(sizes[-rank:], torch.ones(rank).double(), atol=0.02, rtol=0)
    assert sizes[:-rank].abs().max() < 1e-3
    (gradient,) = torch.autograd.grad((value * features(*x.shape, seed=2)).sum(), x)
    assert gradient.isfinite().all()


def test_the_gradient_of_whitening_agrees_with_finite_differences() -> None:
    whiten, x, up = Whiten(), features(9, 3), features(9, 3, seed=1)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad((whiten(x) * up).sum(), x)
    for place in range(x.numel()):
        step = torch.zeros(x.numel()).index_fill(0, torch.tensor(place), 1e-2).view_as(x)
        rise = ((whiten(x + step) - whiten(x - step)) * up).sum().item() / 2e-2
        assert gradient.flatten()[place].item() == pytest.approx(rise, rel=2e-2, abs=2e-2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(6, 8), (3, 8, 2, 2)])
def test_none_has_parameters_memory_or_another_eval_mode(kind: str, shape: tuple[int, ...]) -> None:
    module, x = normaliser(kind, 8), 2 + features(*shape)
    assert not module.state_dict()
    before = module(x)
    module(100 * x)
    assert torch.equal(module(x), before)
    assert torch.equal(module.eval()(x), before)
    assert before.shape == x.shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_poor_batches_give_no_nan(kind: str, scale: float) -> None:
    """One example; two equal ones; a dead channel on one side; nothing but zeros."""
    dead = scale * features(6, 8)
    dead[:, 2] = 0.0
    for x in [
        dead[:1],
        dead[[0, 0]],
        dead,
        torch.zeros(6, 8),
        torch.zeros(1, 8),
        dead.expand(6, 8),
    ]:
        given = x.clone().requires_grad_()
        value = normaliser(kind, 8)(given)
        assert value.isfinite().all()
        (gradient,) = torch.autograd.grad((value * features(*x.shape, seed=1)).sum(), given)
        assert gradient.isfinite().all()
    assert not normaliser("batch", 8)(dead[:1]).any()
    assert not normaliser("whiten", 8)(dead[:1]).any()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_half_precision_is_normalised_in_float32(kind: str) -> None:
    x = features(6, 8).to(torch.bfloat16)
    value = normaliser(kind, 8)(x)
    assert value.dtype == torch.float32
    assert torch.equal(value, normaliser(kind, 8)(x.float()))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(normaliser(kind, 8)(x.float()), value)


@pytest.mark.parametrize("kind", KINDS)
def test_all_compile_whole(kind: str) -> None:
    module, x = normaliser(kind, 8), features(6, 8)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), module(x))


def test_what_is_not_finite_stays_so() -> None:
    """The engine names the term; a factorisation that fails would name nothing."""
    x = features(6, 8)
    x[0, 0] = math.nan
    assert not Whiten()(x).isfinite().all()


def test_an_unknown_kind_is_told_with_its_neighbours() -> None:
    with pytest.raises(WiringError, match=r"normalisation: no kind 'bacth'; nearest: batch"):
        normaliser("bacth", 4)
