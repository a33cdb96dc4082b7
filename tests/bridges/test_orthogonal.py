"""The orthogonal projector: a Cayley transform that stays orthonormal whatever learns it."""

import pytest
import torch
from torch import Tensor, nn

from stillhouse.bridges import OrthogonalProjector, cayley

WIDTHS = [(4, 6), (5, 5), (6, 4), (3, 40), (1, 1)]


def defect(weight: Tensor) -> float:
    """How far columns (or the rows of a wide matrix) are from orthonormal."""
    tall = (weight if weight.shape[0] >= weight.shape[1] else weight.T).detach().double()
    return (tall.T @ tall - torch.eye(tall.shape[1])).abs().max().item()


@pytest.mark.parametrize("shape", [(6, 4), (5, 5), (3, 1)])
def test_the_form_of_low_rank_is_the_dense_cayley_transform(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    base, moved = torch.linalg.qr(torch.randn(*shape).double())[0], torch.randn(*shape).double()
    skew, unit = moved @ base.T - base @ moved.T, torch.eye(shape[0]).double()
    dense = torch.linalg.solve(unit - skew / 2, unit + skew / 2) @ base
    torch.testing.assert_close(cayley(base, moved), dense)


@pytest.mark.parametrize("widths", WIDTHS)
def test_it_is_orthonormal_after_steps_under_weight_decay(widths: tuple[int, int]) -> None:
    """PyTorch's own map of matrices that are not square is 0 after the first of them."""
    torch.manual_seed(0)
    project = OrthogonalProjector(*widths)
    begun = project.weight.detach().clone()
    x, y = torch.randn(32, widths[0]), 3 * torch.randn(32, widths[1])
    optimizer = torch.optim.AdamW(project.parameters(), lr=0.1, weight_decay=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.mse_loss(project(x), y).backward()
        optimizer.step()
        assert defect(project.weight) < 2e-6
    assert widths == (1, 1) or not torch.allclose(project.weight, begun, atol=0.05)


@pytest.mark.parametrize("widths", [(4, 6), (5, 5)])
def test_to_a_wider_teacher_lengths_and_angles_are_kept_also_in_half(
    widths: tuple[int, int],
) -> None:
    project, x = OrthogonalProjector(*widths), torch.randn(8, widths[0])
    with torch.no_grad():
        project.moved.normal_()
    with torch.autocast("cpu", torch.bfloat16):
        out = project(x)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out @ out.T, x @ x.T, rtol=1e-5, atol=1e-5)


def test_its_state_makes_another_one_equal_to_the_bit() -> None:
    mine, other = OrthogonalProjector(4, 6), OrthogonalProjector(4, 6)
    with torch.no_grad():
        mine.moved.normal_()
    assert not torch.equal(mine.weight, other.weight)
    other.load_state_dict(mine.state_dict())
    assert torch.equal(mine.weight, other.weight)
