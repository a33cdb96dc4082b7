"""MobileFaceNet: a small network for faces whose embedding a global depthwise layer gives."""

import re

from torch import Tensor, nn

from stillhouse.models.cosine_head import CosineHead
from stillhouse.models.family import ModelRequest
from stillhouse.models.weights import he_normal_

# Expansion, channels at full width, blocks, stride of the first block: table 1.
STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
STEM, LAST, EMBEDDING = 64, 512, 128
SIZE = 112, 96
"""Height and width of the faces of public weights, where nothing is said of a size."""
DIVISOR = 8
"""Channels of a network of another width are multiples of it: the custom of MobileNets."""
NUMBERS = r"0\.[0-9]{0,2}[1-9]|[1-4](\.[0-9]{1,2})?"
"""Multipliers of the channels that a name may hold: 0.25, 0.5, 1.5."""


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, and PReLU unless it is linear.

    Shapes: `[B, inputs, H, W]` -> `[B, outputs, H', W']`.

    >>> sorted(name for name, _ in ConvNorm(3, 8, 3, stride=2, padding=1).named_children())
    ['bn', 'conv', 'prelu']
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        if not linear:
            self.prelu = nn.PReLU(outputs)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Activation, or what a linear layer gives."""
        out: Tensor = self.bn(self.conv(x))
        return out if self.linear else self.prelu(out)


class Bottleneck(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection; a residual where the shape stays.

    Shapes: `[B, inputs, H, W]` -> `[B, outputs, ceil(H / stride), ceil(W / stride)]`.

    >>> import torch
    >>> tuple(Bottleneck(8, 16, stride=2, expansion=2)(torch.zeros(2, 8, 7, 6)).shape)
    (2, 16, 4, 3)
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.PReLU(inner),
            nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.PReLU(inner),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Linear output of the block."""
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class MobileFaceNet(nn.Module):
    """Bottlenecks, then a depthwise layer as large as the last map, and a linear embedding.

    Modules: conv1, dw_conv1, blocks, conv2, linear7, linear1, flatten, fc. Taps that methods use:
    `blocks.4`, `blocks.11`, `blocks.14` (the last at each resolution; linear), `conv2` (the last
    activation), `fc:in` (the embedding).

    Shapes:
        images `[B, channels, *size]` -> logits `[B, classes]`, scaled cosines without a margin; or
        embeddings `[B, embedding]` where it has no classes, its `fc` being an Identity.

    Args:
        classes: number of logits; None gives the embedding.
        channels: channels of the images.
        size: height and width of the images; the global depthwise layer has
            the size of the last map, a sixteenth of it. (112, 96): public weights.
        width: multiplier of all channels but those of the embedding, to multiples of 8.
        embedding: its width. 128: the paper.
        scale: of the cosines, where it has classes. 64.0: see `CosineHead`.

    Paper: MobileFaceNets, arXiv 1804.07573, table 1.

    Differs from the paper: it has a multiplier of the channels, and any size of images.

    >>> from stillhouse.models.weights import describe
    >>> describe(MobileFaceNet()).parameters, describe(MobileFaceNet(width=0.5)).parameters
    (999552, 286912)
    """

    def __init__(
        self,
        *,
        classes: int | None = None,
        channels: int = 3,
        size: tuple[int, int] = SIZE,
        width: float = 1.0,
        embedding: int = EMBEDDING,
        scale: float = 64.0,
    ) -> None:
        super().__init__()
        stem, last = _scaled(STEM, width), _scaled(LAST, width)
        self.conv1 = ConvNorm(channels, stem, 3, stride=2, padding=1)
        self.dw_conv1 = ConvNorm(stem, stem, 3, padding=1, groups=stem)
        blocks, inputs, strides = [], stem, 2
        for expansion, full, repeats, stride in STAGES:
            outputs = _scaled(full, width)
            for at in range(repeats):
                step = stride if at == 0 else 1
                blocks.append(Bottleneck(inputs, outputs, stride=step, expansion=expansion))
                inputs = outputs
            strides *= stride
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = ConvNorm(inputs, last, 1)
        kernel = -(-size[0] // strides), -(-size[1] // strides)
        self.linear7 = ConvNorm(last, last, kernel, groups=last, linear=True)
        self.linear1 = ConvNorm(last, embedding, 1, linear=True)
        self.flatten = nn.Flatten()
        he_normal_(self)
        self.fc: nn.Module = nn.Identity()
        if classes is not None:
            self.fc = CosineHead(embedding, classes, scale=scale)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images, or their embeddings."""
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(image))))
        out: Tensor = self.fc(self.flatten(self.linear1(self.linear7(x))))
        return out


def _scaled(channels: int, width: float) -> int:
    return max(DIVISOR, round(channels * width / DIVISOR) * DIVISOR)


def build_mobilefacenet(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`mobilefacenet`, `mobilefacenet_0.5`, `mobilefacenet_0.5-64`: width and embedding."""
    return MobileFaceNet(
        classes=ask.classes,
        channels=ask.channels,
        size=SIZE if ask.size is None else ask.size,
        width=float(found["factor"] or 1),
        embedding=int(found["embedding"] or EMBEDDING),
    )
