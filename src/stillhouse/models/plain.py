"""Plain networks of any widths: convnet-8-16-32 and mlp-64-32."""

import math
import re
from collections.abc import Sequence

from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.family import ModelRequest
from stillhouse.models.weights import he_normal_


class ConvNet(nn.Module):
    """Convolutions without shortcuts, for digits and for students of seconds.

    Each width but the last is a stage [3x3 convolution of stride 2, batch norm, ReLU]; the last
    has stride 1 and is the width of the embedding; then global average pool and linear.

    With an ``embedding`` a depthwise convolution as large as the last map, a batch norm, a linear
    layer and a batch norm stand in place of the pool, as in MobileFaceNet: places count, and values
    have both signs, which embeddings that are compared by their cosine want.

    Modules: layer1..layerN (each with conv, bn, relu), avgpool (or embed), fc. Taps that methods
    use: `layerN` (after the ReLU), `layerN.bn` (pre-activation), `fc:in` (the embedding).

    Shapes: images `[B, channels, H, W]` -> logits `[B, classes]`.

    Args:
        widths: channels of the stages, at least one.
        classes: number of logits.
        channels: channels of the images.
        embedding: its width; None: what the pool gives.
        size: height and width of the images, which an embedding needs.

    Paper: none; the shape is this house's own.

    >>> from stillhouse.models.weights import describe
    >>> describe(ConvNet([4, 8, 64], classes=10, channels=1)).parameters
    5734
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        classes: int,
        channels: int = 3,
        embedding: int | None = None,
        size: tuple[int, int] = (32, 32),
    ) -> None:
        super().__init__()
        self.depth = len(widths)
        for index, (before, after) in enumerate(zip([channels, *widths], widths, strict=False)):
            stage = nn.Sequential()
            stride = 1 if index == self.depth - 1 else 2
            stage.add_module("conv", nn.Conv2d(before, after, 3, stride, padding=1, bias=False))
            stage.add_module("bn", nn.BatchNorm2d(after))
            stage.add_module("relu", nn.ReLU())
            self.add_module(f"layer{index + 1}", stage)
        last, smaller = widths[-1], 2 ** (self.depth - 1)
        if embedding is None:
            self.avgpool = nn.AdaptiveAvgPool2d(1)
        else:
            kernel = -(-size[0] // smaller), -(-size[1] // smaller)
            self.embed = nn.Sequential(
                nn.Conv2d(last, last, kernel, groups=last, bias=False),
                nn.BatchNorm2d(last),
                nn.Conv2d(last, embedding, 1, bias=False),
                nn.BatchNorm2d(embedding),
            )
        self.fc = nn.Linear(embedding or last, classes)
        he_normal_(self)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = image
        for stage in range(1, self.depth + 1):
            x = getattr(self, f"layer{stage}")(x)
        pooled = self.avgpool(x) if hasattr(self, "avgpool") else self.embed(x)
        logits: Tensor = self.fc(pooled.flatten(1))
        return logits


class MLP(nn.Module):
    """Fully connected layers with ReLU on the flattened input.

    Modules: flatten, layer1..layerN (each with linear, relu), fc. Taps that methods use:
    `layerN`, `layerN.linear` (pre-activation), `fc:in` (the embedding).

    Shapes: `[B, ...]` with `inputs` values per example -> logits `[B, classes]`.

    Args:
        inputs: values per example, channels * size * size for images.
        widths: units of the hidden layers, at least one.
        classes: number of logits.

    Paper: none. He initialisation in the hidden layers: N(0, 2 / inputs of the layer), bias 0.

    >>> from stillhouse.models.weights import describe
    >>> describe(MLP(64, [32, 16], classes=10)).parameters
    2778
    """

    def __init__(self, inputs: int, widths: Sequence[int], *, classes: int) -> None:
        super().__init__()
        self.depth = len(widths)
        self.flatten = nn.Flatten()
        for index, (before, after) in enumerate(zip([inputs, *widths], widths, strict=False)):
            linear = nn.Linear(before, after)
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
            stage = nn.Sequential()
            stage.add_module("linear", linear)
            stage.add_module("relu", nn.ReLU())
            self.add_module(f"layer{index + 1}", stage)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images or rows."""
        x = self.flatten(image)
        for stage in range(1, self.depth + 1):
            x = getattr(self, f"layer{stage}")(x)
        logits: Tensor = self.fc(x)
        return logits


def build_convnet(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`convnet-8-16-32`: any widths; `convnet-8-16-32-e64`, with an embedding, needs the size."""
    if found["embedding"] is None:
        return ConvNet(_widths(found), classes=ask.classes, channels=ask.channels)
    if ask.size is None:
        raise ModelError(
            f"model '{ask.name}' needs the size of the images: "
            f"build_model('{ask.name}', classes={ask.classes}, channels={ask.channels}, size=32)"
        )
    return ConvNet(
        _widths(found),
        classes=ask.classes,
        channels=ask.channels,
        embedding=int(found["embedding"]),
        size=ask.size,
    )


def build_mlp(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`mlp-64-32`: any widths; needs the size of the images."""
    if ask.size is None:
        raise ModelError(
            f"'{ask.name}' must know the size of its images, and none was given; say it: "
            f"build_model('{ask.name}', classes={ask.classes}, channels={ask.channels}, size=28)"
        )
    return MLP(ask.channels * math.prod(ask.size), _widths(found), classes=ask.classes)


def _widths(found: re.Match[str]) -> list[int]:
    return [int(width) for width in found["widths"].split("-")]
