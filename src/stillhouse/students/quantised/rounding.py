"""Rounding to a grid of a few bits, with the gradient of no rounding at all.

A grid is a scale (the step), the code that means zero, and the codes there are. Weights have a
symmetric grid per output channel, inputs of layers one affine grid that holds zero.

Papers: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", arXiv 1712.05877 (grids, training with rounding); Bengio et al.,
"Estimating or Propagating Gradients Through Stochastic Neurons", arXiv 1308.3432 (the
straight-through estimator).
"""

import torch
from torch import Tensor

LEAST_STEP = torch.finfo(torch.float32).eps
"""Of a channel or an input that is zero throughout: its step must not be zero."""


def straight_round(x: Tensor) -> Tensor:
    """The nearest integers (of two, the even one), with gradient 1.

    >>> x = torch.tensor([0.5, 1.5, -0.7], requires_grad=True)
    >>> y = straight_round(x)
    >>> y.sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([0.0, 2.0, -1.0], [1.0, 1.0, 1.0])
    """
    # Both differences are exact: a number and the integer nearest to it are close.
    return x + (x.round() - x).detach()


def weight_steps(weight: Tensor, bits: int) -> Tensor:
    """The step of each output channel: its largest weight by size is the largest code.

    Shapes:
        weight: [O, ...]; returns [O, 1, ...] of as many dimensions.

    >>> weight_steps(torch.tensor([[127.0, -1.0], [2.0, -254.0]]), 8).flatten().tolist()
    [1.0, 2.0]
    """
    steps = weight.detach().abs().flatten(1).amax(1) / float(2 ** (bits - 1) - 1)
    return steps.clamp(min=LEAST_STEP).view(-1, *[1] * (weight.ndim - 1))


def weight_codes(weight: Tensor, steps: Tensor) -> Tensor:
    """Codes of weights, between -(2^(bits-1) - 1) and its opposite by the choice of the steps.

    The lowest code of all (-128) is left out: so a channel may change its sign, as it does when a
    batch norm with a negative factor is folded into it.
    """
    return straight_round(weight / steps)


def input_grid(low: Tensor, high: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Step and zero of the affine grid over low..high, widened to hold zero.

    >>> step, zero = input_grid(torch.tensor(-1.0), torch.tensor(1.55), 8)
    >>> round(step.item(), 4), zero.item()
    (0.01, 100.0)
    """
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    step = ((high - low) / (2**bits - 1)).clamp(min=LEAST_STEP)
    return step, (-low / step).round()


def input_codes(x: Tensor, step: Tensor, zero: Tensor, bits: int) -> Tensor:
    """Codes of an input less the code of zero: what is multiplied; gradient 0 outside the grid.

    >>> step, zero = torch.tensor(0.5), torch.tensor(2.0)
    >>> input_codes(torch.tensor([-9.0, 0.0, 0.6, 200.0]), step, zero, 8).tolist()
    [-2.0, 0.0, 1.0, 253.0]
    """
    codes = (straight_round(x / step) + zero).clamp(0.0, 2.0**bits - 1.0)
    return codes - zero
