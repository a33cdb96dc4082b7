"""ShuffleNet V1 (3 groups) and V2 (width 1) for small images."""

import re

import torch
from torch import Tensor, nn

from stillhouse.models.family import ModelRequest


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """Deal the channels of all groups out in turn: channel (g, i) moves to place i * groups + g.

    Shapes: `[B, C, H, W]` -> `[B, C, H, W]`; `groups` divides C.

    >>> shuffle_channels(torch.arange(6.0).reshape(1, 6, 1, 1), 2).flatten().tolist()
    [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    """
    batch, channels, height, width = x.shape
    dealt = x.view(batch, groups, channels // groups, height, width).transpose(1, 2)
    return dealt.reshape(batch, channels, height, width)


class GroupedUnit(nn.Module):
    """Unit of V1: grouped 1x1, shuffle, 3x3 depthwise, grouped 1x1, then joined with its input.

    With stride 2 the pooled input is concatenated, otherwise the input is added. Taps:
    `relu3:in` is the pre-activation, `relu3` (and the unit itself) the activation.

    Shapes: `[B, inputs, H, W]` -> `[B, outputs, ceil(H / stride), ceil(W / stride)]`.

    >>> tuple(GroupedUnit(24, 240, stride=2)(torch.zeros(2, 24, 8, 8)).shape)
    (2, 240, 4, 4)
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, groups: int = 3) -> None:
        super().__init__()
        made = outputs - inputs if stride == 2 else outputs
        inner = made // 4
        # The stem is too narrow to be cut in groups (paper, section 3.2).
        self.groups = 1 if inputs == 24 else groups
        self.conv1 = nn.Conv2d(inputs, inner, 1, groups=self.groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()  # the paper has none here; the benchmark does
        self.conv3 = nn.Conv2d(inner, made, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(made)
        self.pool = nn.AvgPool2d(3, 2, padding=1) if stride == 2 else None
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Activation of the unit."""
        inner = shuffle_channels(self.relu1(self.bn1(self.conv1(x))), self.groups)
        inner = self.relu2(self.bn2(self.conv2(inner)))
        made = self.bn3(self.conv3(inner))
        joined = made + x if self.pool is None else torch.cat([made, self.pool(x)], 1)
        out: Tensor = self.relu3(joined)
        return out


class SplitUnit(nn.Module):
    """Unit of V2 without stride: half of the channels pass by, half are convolved, then shuffled.

    Shapes: `[B, width, H, W]` -> `[B, width, H, W]`.

    >>> tuple(SplitUnit(8)(torch.zeros(2, 8, 4, 4)).shape)
    (2, 8, 4, 4)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Shuffled halves."""
        passed, inner = x.chunk(2, 1)
        inner = self.relu1(self.bn1(self.conv1(inner)))
        inner = self.bn2(self.conv2(inner))
        inner = self.relu2(self.bn3(self.conv3(inner)))
        return shuffle_channels(torch.cat([passed, inner], 1), 2)


class DownUnit(nn.Module):
    """Unit of V2 that halves the resolution: two strided branches, joined and shuffled.

    Shapes: `[B, inputs, H, W]` -> `[B, outputs, ceil(H / 2), ceil(W / 2)]`.

    >>> tuple(DownUnit(4, 8)(torch.zeros(2, 4, 8, 8)).shape)
    (2, 8, 4, 4)
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1 = nn.Conv2d(inputs, inputs, 3, 2, padding=1, groups=inputs, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = nn.Conv2d(inputs, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.relu1 = nn.ReLU()
        self.conv3 = nn.Conv2d(inputs, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.relu2 = nn.ReLU()
        self.conv4 = nn.Conv2d(half, half, 3, 2, padding=1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Shuffled branches."""
        left = self.relu1(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        right = self.relu2(self.bn3(self.conv3(x)))
        right = self.relu3(self.bn5(self.conv5(self.bn4(self.conv4(right)))))
        return shuffle_channels(torch.cat([left, right], 1), 2)


class ShuffleNetV1(nn.Module):
    """Three stages of grouped units with 4, 8 and 4 units of 240, 480 and 960 channels.

    Modules: conv1, bn1, relu, layer1, layer2, layer3, avgpool, fc. Taps that methods use:
    `layer1`..`layer3` (after the ReLU), `layer3.3.relu3:in` (the last pre-activation), `fc:in`.

    Shapes: images `[B, channels, H, W]` -> logits `[B, classes]`.

    Args:
        classes: number of logits.
        channels: channels of the images.

    Paper: Zhang et al., ShuffleNet, CVPR 2018, table 1 with 3 groups; the form of the CRD
    benchmark.

    Differs from the paper, as the benchmark does: the stem is a 1x1 convolution without
    pooling. Initialisation is PyTorch's default, as there. Differs from the benchmark's code:
    global pooling adapts to the input (there: 4x4 windows).

    >>> from stillhouse.models.weights import describe
    >>> describe(ShuffleNetV1(classes=100)).parameters
    949258
    """

    def __init__(self, *, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.relu = nn.ReLU()
        self.layer1 = _grouped_stage(4, 24, 240)
        self.layer2 = _grouped_stage(8, 240, 480)
        self.layer3 = _grouped_stage(4, 480, 960)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(960, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.relu(self.bn1(self.conv1(image)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


class ShuffleNetV2(nn.Module):
    """Three stages with 4, 8 and 4 units of 116, 232 and 464 channels, a 1x1 to 1024, linear.

    Modules: conv1, bn1, relu, layer1, layer2, layer3, conv2, bn2, relu2, avgpool, fc. Taps
    that methods use: `layer1`..`layer3` (after the shuffle), `layer3.3.bn3` (pre-activation of
    the convolved half of the last stage), `relu2` (the last activation), `fc:in`.

    Shapes: images `[B, channels, H, W]` -> logits `[B, classes]`.

    Args:
        classes: number of logits.
        channels: channels of the images.

    Paper: Ma et al., ShuffleNet V2, ECCV 2018, table 5 with width 1; the form of the CRD
    benchmark.

    Differs from the paper, as the benchmark does: the stem is a 1x1 convolution without
    pooling. Initialisation is PyTorch's default, as there. Differs from the benchmark's code:
    global pooling adapts to the input (there: 4x4 windows).

    >>> from stillhouse.models.weights import describe
    >>> describe(ShuffleNetV2(classes=100)).parameters
    1355528
    """

    def __init__(self, *, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.relu = nn.ReLU()
        self.layer1 = _split_stage(4, 24, 116)
        self.layer2 = _split_stage(8, 116, 232)
        self.layer3 = _split_stage(4, 232, 464)
        self.conv2 = nn.Conv2d(464, 1024, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1024)
        self.relu2 = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(1024, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.relu(self.bn1(self.conv1(image)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _grouped_stage(units: int, inputs: int, outputs: int) -> nn.Sequential:
    rest = [GroupedUnit(outputs, outputs, stride=1) for _ in range(units - 1)]
    return nn.Sequential(GroupedUnit(inputs, outputs, stride=2), *rest)


def _split_stage(units: int, inputs: int, outputs: int) -> nn.Sequential:
    rest = [SplitUnit(outputs) for _ in range(units - 1)]
    return nn.Sequential(DownUnit(inputs, outputs), *rest)


def build_shufflenet(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`shufflenet_v1` or `shufflenet_v2`."""
    chosen = {"1": ShuffleNetV1, "2": ShuffleNetV2}[found["version"]]
    return chosen(classes=ask.classes, channels=ask.channels)
