"""CIFAR ResNets in the form of the CRD benchmark: resnet20, resnet8x4, resnet8w16."""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.family import ModelRequest
from stillhouse.models.weights import he_normal_

Widths = tuple[int, int, int, int]
NARROW = 16


class SkippingPointwise(nn.Conv2d):
    """1x1 convolution that drops the pixels its stride skips before it convolves.

    Equal to `nn.Conv2d` in value. oneDNN (its issue 6035, met with torch 2.13) writes outside its
    memory in the weight gradient of strided 1x1 convolutions of fewer than 16 channels in
    channels-last layout, which torch.compile chooses on CPU; this way no such one is asked for.

    Shapes: `[B, inputs, H, W]` -> `[B, outputs, ceil(H / stride), ceil(W / stride)]`.

    >>> import torch
    >>> tuple(SkippingPointwise(4, 8, 1, 2)(torch.zeros(1, 4, 5, 5)).shape)
    (1, 8, 3, 3)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolution of every stride-th pixel."""
        rows, columns = self.stride
        return F.conv2d(input[:, :, ::rows, ::columns], self.weight, self.bias)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)).

    The shortcut is the identity, or 1x1 convolution + batch norm where the shape changes.
    Taps: `relu2:in` is the pre-activation, `relu2` (and the block itself) the activation.

    Shapes: `[B, inputs, H, W]` -> `[B, outputs, ceil(H / stride), ceil(W / stride)]`.

    >>> import torch
    >>> tuple(BasicBlock(4, 8, stride=2)(torch.zeros(2, 4, 8, 8)).shape)
    (2, 8, 4, 4)
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            pointwise = SkippingPointwise if inputs < NARROW else nn.Conv2d
            self.downsample = nn.Sequential(
                pointwise(inputs, outputs, 1, stride, bias=False),
                nn.BatchNorm2d(outputs),
            )
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Activation of the block."""
        inner = self.relu1(self.bn1(self.conv1(x)))
        inner = self.bn2(self.conv2(inner))
        out: Tensor = self.relu2(inner + self.downsample(x))
        return out


class ResNet(nn.Module):
    """Residual network for small images: a stem, three stages of equal depth, a classifier.

    Modules: conv1, bn1, relu, layer1, layer2, layer3, avgpool, fc. Taps that methods use:
    `layer1`..`layer3` (after the ReLU), `fc:in` (the embedding), and the pre-activation of the
    last stage, `layer3.N.relu2:in` with N its last block.

    Shapes: images `[B, channels, H, W]` -> logits `[B, classes]`; stage k works at
    1, 1/2 and 1/4 of the resolution.

    Args:
        depth: number of weighted layers, 6n + 2.
        widths: channels of the stem and of the three stages.
        classes: number of logits.
        channels: channels of the images.

    Raises:
        ModelError: the depth is not 6n + 2.

    Paper: He et al., Deep Residual Learning, CVPR 2016, section 4.2; the form of Tian et al.,
    Contrastive Representation Distillation, ICLR 2020.

    Differs from the paper: shortcuts that change shape are 1x1 convolution + batch norm
    (option B), as in the benchmark, and not zero padding. Differs from the benchmark's code:
    global pooling adapts to the input (there: 8x8 windows, the same for 32x32 images) and no
    ReLU works in place, so that what a tap has seen stays as it was.

    >>> from stillhouse.models.weights import describe
    >>> describe(ResNet(20, (16, 16, 32, 64), classes=100)).parameters
    278324
    """

    def __init__(self, depth: int, widths: Widths, *, classes: int, channels: int = 3) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ModelError(
                f"a CIFAR ResNet has depth 6n + 2 (8, 14, 20, 26, 32 ...), not {depth}; "
                "take one of these"
            )
        stem, first, second, third = widths
        self.conv1 = nn.Conv2d(channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU()
        self.layer1 = _stage(blocks, stem, first, stride=1)
        self.layer2 = _stage(blocks, first, second, stride=2)
        self.layer3 = _stage(blocks, second, third, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(third, classes)
        he_normal_(self)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.relu(self.bn1(self.conv1(image)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _stage(blocks: int, inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    rest = [BasicBlock(outputs, outputs, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(inputs, outputs, stride=stride), *rest)


def build_resnet(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`resnet20`: the widths of the paper, 16-16-32-64."""
    widths = (16, 16, 32, 64)
    return ResNet(int(found["depth"]), widths, classes=ask.classes, channels=ask.channels)


def build_resnet_x4(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`resnet8x4`: stages four times as wide and a stem twice as wide, 32-64-128-256."""
    widths = (32, 64, 128, 256)
    return ResNet(int(found["depth"]), widths, classes=ask.classes, channels=ask.channels)


def build_resnet_of_width(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`resnet8w16`: any depth 6n + 2 and any first width w, w-w-2w-4w."""
    width = int(found["width"])
    widths = (width, width, 2 * width, 4 * width)
    return ResNet(int(found["depth"]), widths, classes=ask.classes, channels=ask.channels)
