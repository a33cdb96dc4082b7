"""Layers that round their weights and what they read, as int8 arithmetic would."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.students.quantised.rounding import (
    input_codes,
    input_grid,
    weight_codes,
    weight_steps,
)


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
