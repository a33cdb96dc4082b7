"""Wide residual networks: wrn_40_2 is 40 layers deep and twice as wide."""

import re

from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.family import ModelRequest
from stillhouse.models.weights import he_normal_


class PreactivationBlock(nn.Module):
    """Batch norm and ReLU before each convolution: conv(relu(bn(conv(relu(bn(x)))))) + shortcut.

    Where the width changes, the shortcut is a 1x1 convolution of relu(bn(x)); else it is x.

    Shapes: `[B, inputs, H, W]` -> `[B, outputs, ceil(H / stride), ceil(W / stride)]`.

    >>> import torch
    >>> tuple(PreactivationBlock(4, 8, stride=2)(torch.zeros(2, 4, 8, 8)).shape)
    (2, 8, 4, 4)
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Sum of both branches, not yet normalised or rectified."""
        active = self.relu1(self.bn1(x))
        inner = self.conv2(self.relu2(self.bn2(self.conv1(active))))
        out: Tensor = inner + (x if self.shortcut is None else self.shortcut(active))
        return out


class WideResNet(nn.Module):
    """Pre-activation residual network whose stages are `factor` times as wide.

    Modules: conv1, layer1, layer2, layer3, bn1, relu, avgpool, fc. Taps that methods use:
    `layer1`..`layer3` (sums, before batch norm), `bn1` (the last pre-activation), `relu` (the
    last activation), `fc:in` (the embedding), and for the pre-activations of stages 1 and 2
    the first batch norms of the stages after them, `layer2.0.bn1` and `layer3.0.bn1`.

    Shapes: images `[B, channels, H, W]` -> logits `[B, classes]`.

    Args:
        depth: number of layers, 6n + 4.
        factor: widening factor; stages have 16, 32 and 64 times it, the stem has 16.
        classes: number of logits.
        channels: channels of the images.

    Raises:
        ModelError: the depth is not 6n + 4.

    Paper: Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016.

    Differs from the authors' code: no dropout (as in the CRD benchmark), and no ReLU works in
    place.

    >>> from stillhouse.models.weights import describe
    >>> describe(WideResNet(16, 2, classes=100)).parameters
    703284
    """

    def __init__(self, depth: int, factor: int, *, classes: int, channels: int = 3) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise ModelError(
                f"a wide ResNet has depth 6n + 4 (10, 16, 22, 28, 34, 40 ...), not {depth}; "
                "take one of these"
            )
        width = 16 * factor
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.layer1 = _stage(blocks, 16, width, stride=1)
        self.layer2 = _stage(blocks, width, 2 * width, stride=2)
        self.layer3 = _stage(blocks, 2 * width, 4 * width, stride=2)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, classes)
        he_normal_(self)
        nn.init.zeros_(self.fc.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(image))))
        x = self.avgpool(self.relu(self.bn1(x)))
        logits: Tensor = self.fc(x.flatten(1))
        return logits


def _stage(blocks: int, inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    rest = [PreactivationBlock(outputs, outputs, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(PreactivationBlock(inputs, outputs, stride=stride), *rest)


def build_wide_resnet(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`wrn_40_2`: any depth 6n + 4 and any widening factor."""
    depth, factor = int(found["depth"]), int(found["factor"])
    return WideResNet(depth, factor, classes=ask.classes, channels=ask.channels)
