"""Rounding to a grid of a few bits, and layers that round as int8 arithmetic would.

A grid is a scale (the step), the code that means zero, and the codes there are. Weights have a
symmetric grid per output channel, inputs of layers one affine grid that holds zero. The gradient is
that of no rounding at all.

Papers: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", arXiv 1712.05877 (grids, training with rounding); Bengio et al.,
"Estimating or Propagating Gradients Through Stochastic Neurons", arXiv 1308.3432 (the
straight-through estimator).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.functional.numerics import bounded

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
    """Codes of an input less the code of zero: what is multiplied; none outside the grid.

    >>> step, zero = torch.tensor(0.5), torch.tensor(2.0)
    >>> input_codes(torch.tensor([-9.0, 0.0, 0.6, 200.0]), step, zero, 8).tolist()
    [-2.0, 0.0, 1.0, 253.0]
    """
    codes = bounded(straight_round(x / step) + zero, 0.0, 2.0**bits - 1.0)
    return codes - zero


@dataclass(frozen=True)
class ConvolutionPlan:
    """How a convolution goes over its input; of many strided 1x1 ones most pixels are never read.

    Those are left out first: cheaper, and out of reach of a fault of oneDNN (`SkippingPointwise`).
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    groups: int

    @classmethod
    def of(cls, conv: nn.Conv2d) -> "ConvolutionPlan":
        """The settings of a convolution."""
        return cls(conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)

    @property
    def skips(self) -> bool:
        """Whether it leaves pixels out."""
        unpadded = self.padding in ((0, 0), "valid")
        return self.kernel_size == (1, 1) and max(self.stride) > 1 and unpadded

    def read(self, input: Tensor) -> Tensor:
        """The pixels that are read."""
        rows, columns = self.stride
        return input[..., ::rows, ::columns] if self.skips else input

    def over(self, read: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Convolution of what `read` gave."""
        stride = (1, 1) if self.skips else self.stride
        return nn.functional.conv2d(
            read, weight, bias, stride, self.padding, self.dilation, self.groups
        )


class InputRange(nn.Module):
    """What a layer reads, rounded to a grid whose ends follow what was seen in training.

    ``low <- decay * low + (1 - decay) * min(x)``, ``high`` likewise, in train mode only; the first
    batch sets both. Until then it rounds nothing.

    Shapes: any -> the same.

    >>> grid = InputRange(8, decay=0.9)
    >>> x = torch.tensor([-1.0, 0.004, 1.55])
    >>> [round(v, 4) for v in grid(x).tolist()], grid.seen.item()
    ([-1.0, 0.0, 1.55], 1)
    """

    low: Tensor
    high: Tensor
    seen: Tensor

    def __init__(self, bits: int, decay: float) -> None:
        super().__init__()
        self.bits = bits
        self.decay = decay
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """The rounded input, float32."""
        if x.dtype in (torch.bfloat16, torch.float16):
            x = x.float()  # half precision has no room for the grid
        if self.training:
            self._follow(x)
        step, zero = self.grid()
        rounded = input_codes(x, step, zero, self.bits) * step
        return torch.where(self.seen > 0, rounded, x)

    def grid(self) -> tuple[Tensor, Tensor]:
        """Step and zero."""
        return input_grid(self.low, self.high, self.bits)

    @torch.no_grad()
    def _follow(self, x: Tensor) -> None:
        low, high = x.detach().aminmax()
        share = torch.where(self.seen > 0, 1.0 - self.decay, 1.0).to(self.low)
        self.low.lerp_(low.to(self.low), share)
        self.high.lerp_(high.to(self.high), share)
        self.seen.add_(1)

    def extra_repr(self) -> str:
        """Bits and decay."""
        return f"bits={self.bits}, decay={self.decay}"


class QuantisedConv2d(nn.Conv2d):
    """A convolution that rounds its weights per output channel and its input as a whole.

    It takes the parameters of the convolution that it replaces; the bias stays float. ``norm`` is
    the path of the batch norm that alone reads it, which conversion folds into it.

    >>> rounding = QuantisedConv2d.of(nn.Conv2d(3, 4, 3), bits=8, decay=0.99)
    >>> tuple(rounding(torch.ones(2, 3, 5, 5)).shape)
    (2, 4, 3, 3)
    """

    input_range: InputRange
    bits: int
    norm: str

    @classmethod
    def of(cls, conv: nn.Conv2d, *, bits: int, decay: float, norm: str = "") -> "QuantisedConv2d":
        """The rounding form of a convolution, on the same parameters."""
        made = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            conv.bias is not None,
            device="meta",
        )
        made.weight, made.bias = conv.weight, conv.bias
        made.bits, made.norm = bits, norm
        made.input_range = InputRange(bits, decay).to(conv.weight.device)
        return made.train(conv.training)

    def forward(self, input: Tensor) -> Tensor:
        """Convolution of rounded input with rounded weights."""
        going = ConvolutionPlan.of(self)
        return going.over(self.input_range(going.read(input)), self.rounded(), self.bias)

    def rounded(self) -> Tensor:
        """The weights as the integers mean them."""
        steps = weight_steps(self.weight, self.bits)
        return weight_codes(self.weight, steps) * steps


class QuantisedLinear(nn.Linear):
    """A linear layer that rounds its weights per row and its input as a whole.

    >>> rounding = QuantisedLinear.of(nn.Linear(3, 2), bits=8, decay=0.99)
    >>> rounding(torch.ones(4, 3)).shape
    torch.Size([4, 2])
    """

    input_range: InputRange
    bits: int
    norm: str

    @classmethod
    def of(cls, linear: nn.Linear, *, bits: int, decay: float, norm: str = "") -> "QuantisedLinear":
        """The rounding form of a linear layer, on the same parameters."""
        made = cls(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        made.weight, made.bias = linear.weight, linear.bias
        made.bits, made.norm = bits, norm
        made.input_range = InputRange(bits, decay).to(linear.weight.device)
        return made.train(linear.training)

    def forward(self, input: Tensor) -> Tensor:
        """Product of rounded input and rounded weights."""
        return nn.functional.linear(self.input_range(input), self.rounded(), self.bias)

    def rounded(self) -> Tensor:
        """The weights as the integers mean them."""
        steps = weight_steps(self.weight, self.bits)
        return weight_codes(self.weight, steps) * steps


Quantised = QuantisedConv2d | QuantisedLinear
