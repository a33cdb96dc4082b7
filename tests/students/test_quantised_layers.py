"""Rounding: equal to a loop in float64 and to PyTorch's own operators, gradients included."""

import pytest
import torch
from torch import Tensor

from stillhouse.students.quantised.layers import (
    InputRange,
    input_codes,
    input_grid,
    weight_codes,
    weight_steps,
)


def nearest_even(value: float) -> int:
    return round(value)  # Python rounds halves to even, as IEEE does


def by_hand(x: Tensor, low: float, high: float, bits: int) -> Tensor:
    """Affine rounding as Jacob et al. write it: r = S (q - Z), zero is a code."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / (2**bits - 1)
    zero = nearest_even(-low / step)
    made = []
    for value in x.flatten().tolist():
        code = min(max(nearest_even(value / step) + zero, 0), 2**bits - 1)
        made.append(step * (code - zero))
    return torch.tensor(made, dtype=torch.float64).view(x.shape)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("low", "high"), [(-1.3, 2.1), (0.2, 3.0), (-4.0, -1.0)])
def test_inputs_equal_a_loop(bits: int, low: float, high: float) -> None:
    made = torch.Generator().manual_seed(bits)
    x = 5 * torch.randn(200, generator=made, dtype=torch.float64)
    ends = (torch.tensor(end, dtype=torch.float64) for end in (low, high))
    step, zero = input_grid(*ends, bits)
    mine = input_codes(x, step, zero, bits) * step
    torch.testing.assert_close(mine, by_hand(x, low, high, bits), rtol=1e-12, atol=1e-12)
    assert input_codes(torch.zeros(1).double(), step, zero, bits).item() == 0, "zero is exact"


@pytest.mark.parametrize("bits", [3, 8])
def test_weights_equal_a_loop(bits: int) -> None:
    weight = torch.randn(5, 3, 2, 2, dtype=torch.float64)
    weight[2] = 0.0
    steps = weight_steps(weight, bits)
    mine = weight_codes(weight, steps)
    top = 2 ** (bits - 1) - 1
    for channel, codes in zip(weight, mine, strict=True):
        largest = max(abs(value) for value in channel.flatten().tolist())
        for value, code in zip(channel.flatten().tolist(), codes.flatten().tolist(), strict=True):
            assert code == (nearest_even(value / (largest / top)) if largest else 0)
    assert mine.abs().flatten(1).amax(1).tolist() == [top, top, 0, top, top]
    assert ((mine * steps - weight).abs() <= steps / 2 + 1e-12).all(), "half a step at most"


def test_they_are_the_operators_of_torch() -> None:
    """Values and gradients of torch.fake_quantize_*, where no tie decides."""
    made = torch.Generator().manual_seed(0)
    x = (4 * torch.randn(500, generator=made)).requires_grad_()
    other = x.detach().clone().requires_grad_()
    step, zero = input_grid(torch.tensor(-2.0), torch.tensor(3.0), 8)
    mine = input_codes(x, step, zero, 8) * step
    theirs = torch.fake_quantize_per_tensor_affine(other, step, zero.to(torch.int32), 0, 255)
    torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)
    pull = torch.randn(500, generator=made)
    (mine * pull).sum().backward()
    (theirs * pull).sum().backward()
    torch.testing.assert_close(x.grad, other.grad, rtol=1e-5, atol=1e-6)
    assert (x.grad == 0).any(), "outside the grid nothing pulls"

    w = torch.randn(6, 4, 3, 3, generator=made)
    steps = weight_steps(w, 8)
    theirs = torch.fake_quantize_per_channel_affine(
        w, steps.flatten(), torch.zeros(6, dtype=torch.int32), 0, -127, 127
    )
    torch.testing.assert_close(weight_codes(w, steps) * steps, theirs, rtol=1e-6, atol=1e-6)


def test_the_ends_follow_the_batches_of_training_and_no_others() -> None:
    grid = InputRange(8, decay=0.9)
    batches = [torch.tensor([-1.0, 2.0]), torch.tensor([-3.0, 1.0]), torch.tensor([0.5, 9.0])]
    low = high = None
    for batch in batches:
        grid(batch)
        ends = batch.double().min().item(), batch.double().max().item()
        low = ends[0] if low is None else 0.9 * low + 0.1 * ends[0]
        high = ends[1] if high is None else 0.9 * high + 0.1 * ends[1]
    assert grid.low.item() == pytest.approx(low)
    assert grid.high.item() == pytest.approx(high)
    assert grid.seen.item() == 3
    before = {name: value.clone() for name, value in grid.state_dict().items()}
    grid.eval()(torch.tensor([-100.0, 100.0]))
    assert all(torch.equal(before[name], value) for name, value in grid.state_dict().items())


def test_what_was_never_trained_rounds_nothing() -> None:
    x = torch.randn(9)
    assert torch.equal(InputRange(8, decay=0.9).eval()(x), x)


def test_a_constant_input_is_kept() -> None:
    """Zero throughout, or one number: no division by zero, no nan."""
    for value in (0.0, 3.0, -2.0):
        x = torch.full((4,), value, requires_grad=True)
        y = InputRange(8, decay=0.9)(x)
        y.sum().backward()
        torch.testing.assert_close(y.detach(), x.detach())
        assert torch.isfinite(x.grad).all()


def test_half_precision_is_rounded_in_single() -> None:
    grid = InputRange(8, decay=0.9)
    x = torch.randn(64).bfloat16()
    made = grid(x)
    assert made.dtype == torch.float32
    step, _ = grid.grid()
    assert ((made - x.float()).abs() <= step / 2 + 1e-6).all()


def test_a_code_at_either_end_of_the_grid_goes_on_learning() -> None:
    """The gradient of `torch.clamp` at its bounds is 1 in torch 2.13 and 0 in 2.14."""
    step, zero = torch.tensor(1.0), torch.tensor(2.0)
    x = torch.tensor([-3.0, -2.0, 0.0, 253.0, 254.0], requires_grad=True)
    input_codes(x, step, zero, 8).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
