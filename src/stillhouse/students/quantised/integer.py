"""Layers on integers: int8 weights, codes of the input, exact sums, one factor per channel.

``y = scale * (q_x conv q_w) + bias``, where ``scale`` holds the steps of input and weights and the
batch norm, and ``bias`` the layer's own and the norm's.

The sums are those of int32 arithmetic, carried by floating point: a reference, not a fast kernel.
As long as the sum of all products by size stays below 2^24, every partial sum in any order is an
integer that float32 holds exactly; larger layers take float64 (2^53).
"""

from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.students.quantised.layers import (
    ConvolutionPlan,
    Quantised,
    QuantisedConv2d,
    input_codes,
    weight_codes,
    weight_steps,
)

EXACT_FLOAT32 = 2**24


class IntegerLayer(nn.Module):
    """The integer form of one rounding layer. Its state: codes, factors, the grid of its input.

    Args:
        layer: whose form it is; its shape and settings count, not its values.

    >>> from stillhouse.students.quantised.layers import QuantisedLinear
    >>> layer = QuantisedLinear.of(nn.Linear(3, 2), bits=8, decay=0.99)
    >>> {name: str(value.dtype)[6:] for name, value in IntegerLayer(layer).state_dict().items()}
    {'weight': 'int8', 'scale': 'float32', 'bias': 'float32', 'step': 'float32', 'zero': 'int32'}
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor
    step: Tensor
    zero: Tensor

    def __init__(self, layer: Quantised) -> None:
        super().__init__()
        channels = layer.weight.shape[0]
        self.bits = layer.bits
        self.conv = ConvolutionPlan.of(layer) if isinstance(layer, QuantisedConv2d) else None
        self.register_buffer("weight", torch.zeros(layer.weight.shape, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("step", torch.ones(()))
        self.register_buffer("zero", torch.zeros((), dtype=torch.int32))
        self.carrier = torch.float32
        self.register_load_state_dict_post_hook(_after_loading)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def take(self, layer: Quantised, norm: nn.Module | None) -> None:
        """Take the values of a trained layer, with the batch norm behind it."""
        steps = weight_steps(layer.weight, layer.bits)
        step, zero = layer.input_range.grid()
        self.weight.copy_(weight_codes(layer.weight, steps))
        self.step.copy_(step)
        self.zero.copy_(zero)
        factor, shift = _norm_of(norm, self.scale)
        bias = 0.0 if layer.bias is None else layer.bias.double()
        self.scale.copy_(step.double() * steps.flatten().double() * factor)
        self.bias.copy_(bias * factor + shift)
        self._settle()

    def forward(self, input: Tensor) -> Tensor:
        """The layer on integers; float32 in, float32 out."""
        conv = self.conv
        input = input.float() if conv is None else conv.read(input.float())
        zero = self.zero.float()
        # Only a CPU is known to add floats without a transform that rounds in between.
        carrier = self.carrier if input.device.type == "cpu" else torch.float64
        codes = input_codes(input, self.step, zero, self.bits).to(carrier)
        weight = self.weight.to(carrier)
        if conv is None:
            return nn.functional.linear(codes, weight).float() * self.scale + self.bias
        shape = (-1, 1, 1)
        sums = conv.over(codes, weight).float()
        return sums * self.scale.view(shape) + self.bias.view(shape)

    def _settle(self) -> None:
        """Choose what carries the sums exactly, by what these weights can add up to."""
        largest = self.weight.double().abs().flatten(1).sum(1).amax().item()
        sum_of_all = largest * (2**self.bits - 1)
        self.carrier = torch.float32 if sum_of_all < EXACT_FLOAT32 else torch.float64

    def extra_repr(self) -> str:
        """Shape, bits, and what carries the sums."""
        carrier = str(self.carrier).removeprefix("torch.")
        return f"{list(self.weight.shape)}, bits={self.bits}, sums in {carrier}"


def _after_loading(layer: nn.Module, _keys: Any) -> None:
    if isinstance(layer, IntegerLayer):
        layer._settle()


def _norm_of(norm: nn.Module | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """A batch norm in eval mode as factor and shift per channel, float64."""
    if norm is None:
        return torch.ones_like(like).double(), torch.zeros_like(like).double()
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        raise TypeError(f"{type(norm).__name__} is no batch norm")
    mean, var = norm.running_mean, norm.running_var
    if mean is None or var is None:
        raise TypeError("the batch norm has no running statistics")
    factor = (var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.double()
    shift = -mean.double() * factor
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    return factor, shift
