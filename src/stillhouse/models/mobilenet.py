"""MobileNetV2 of half width for small images."""

import re

from torch import Tensor, nn

from stillhouse.models.family import ModelRequest
from stillhouse.models.weights import he_normal_

# Channels at full width, blocks, stride of the first block.
STAGES = ((16, 1, 1), (24, 2, 1), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise convolution, linear 1x1 projection; shortcut where it fits.

    Shapes: `[B, inputs, H, W]` -> `[B, outputs, ceil(H / stride), ceil(W / stride)]`.

    >>> import torch
    >>> tuple(InvertedResidual(4, 8, stride=2, expansion=6)(torch.zeros(2, 4, 8, 8)).shape)
    (2, 8, 4, 4)
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Linear output of the block (no ReLU after the projection)."""
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """A strided stem, seven stages of inverted residuals, a 1x1 convolution to 1280, linear.

    Modules: conv1, layer1..layer7, conv2, avgpool, fc. Taps that methods use: `layer2`,
    `layer3`, `layer5`, `layer7` (the last at each resolution; linear, so pre-activations
    already), `conv2` (the last activation), `fc:in` (the embedding).

    Shapes: images `[B, channels, H, W]` -> logits `[B, classes]`.

    Args:
        classes: number of logits.
        channels: channels of the images.
        width: multiplier of all channels but the last 1280. 0.5: the CRD benchmark.
        expansion: ratio of the expansion, all stages but the first. 6: the paper, table 2.

    Paper: Sandler et al., MobileNetV2, CVPR 2018, table 2; the form of Jin et al., Knowledge
    Distillation via Route Constrained Optimization, ICCV 2019, which the CRD benchmark uses.

    Differs from the paper, as the benchmark does: stage 2 keeps its resolution, ReLU in place
    of ReLU6, a 1x1 convolution also where nothing is expanded (stage 1), no dropout.
    Differs from the benchmark's code: no ReLU works in place.

    >>> from stillhouse.models.weights import describe
    >>> describe(MobileNetV2(classes=100)).parameters
    812836
    """

    def __init__(
        self, *, classes: int, channels: int = 3, width: float = 0.5, expansion: int = 6
    ) -> None:
        super().__init__()
        stem = int(32 * width)
        outputs = [int(full * width) for full, _, _ in STAGES]
        inputs = [stem, *outputs[:-1]]
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels, stem, 3, 2, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU()
        )
        for index, (_, blocks, stride) in enumerate(STAGES):
            ratio = 1 if index == 0 else expansion
            first = InvertedResidual(inputs[index], outputs[index], stride=stride, expansion=ratio)
            rest = [
                InvertedResidual(outputs[index], outputs[index], stride=1, expansion=ratio)
                for _ in range(blocks - 1)
            ]
            self.add_module(f"layer{index + 1}", nn.Sequential(first, *rest))
        self.conv2 = nn.Sequential(
            nn.Conv2d(outputs[-1], 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU()
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(1280, classes)
        he_normal_(self, linear_std=0.01)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.conv1(image)
        for stage in range(1, len(STAGES) + 1):
            x = getattr(self, f"layer{stage}")(x)
        logits: Tensor = self.fc(self.avgpool(self.conv2(x)).flatten(1))
        return logits


def build_mobilenet_v2(_: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`mobilenet_v2`: half width, expansion 6."""
    return MobileNetV2(classes=ask.classes, channels=ask.channels)
