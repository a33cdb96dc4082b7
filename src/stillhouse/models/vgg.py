"""VGG networks for small images, with batch norm and one linear layer."""

import re
from collections.abc import Sequence

from torch import Tensor, nn

from stillhouse.models.family import ModelRequest
from stillhouse.models.weights import he_normal_

STAGE_WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {
    "vgg8": (1, 1, 1, 1, 1),
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
LARGE = 64


class VGG(nn.Module):
    """Five stages of [3x3 convolution, batch norm, ReLU], global average pool, linear.

    Modules: layer1, pool1, layer2, pool2, layer3, pool3, layer4, pool4, layer5, avgpool, fc.
    Taps that methods use: `layer1`..`layer5` (after the ReLU), `fc:in` (the embedding); the
    pre-activation of a stage is the output of its last batch norm, e.g. `layer5.4` in vgg13.
    `pool4` runs only for images of 64 pixels or more.

    Shapes: images `[B, channels, H, W]`, at least 8x8 -> logits `[B, classes]`.

    Args:
        convolutions: how many convolutions each of the five stages has.
        classes: number of logits.
        channels: channels of the images.

    Paper: Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, table 1; the
    form of Tian et al., Contrastive Representation Distillation, ICLR 2020 (vgg8 is theirs).

    Differs from the benchmark's code: the fourth pooling is for every image of at least 64
    pixels (there: exactly 64), the ReLU that ends a stage belongs to the stage, and no ReLU
    works in place.

    >>> from stillhouse.models.weights import describe
    >>> describe(VGG(CONVOLUTIONS["vgg8"], classes=100)).parameters
    3965028
    """

    def __init__(self, convolutions: Sequence[int], *, classes: int, channels: int = 3) -> None:
        super().__init__()
        inputs = (channels, *STAGE_WIDTHS[:-1])
        self.layer1, self.layer2, self.layer3, self.layer4, self.layer5 = (
            _stage(count, before, after)
            for count, before, after in zip(convolutions, inputs, STAGE_WIDTHS, strict=True)
        )
        self.pool1 = nn.MaxPool2d(2)
        self.pool2 = nn.MaxPool2d(2)
        self.pool3 = nn.MaxPool2d(2)
        self.pool4 = nn.MaxPool2d(2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(STAGE_WIDTHS[-1], classes)
        he_normal_(self, linear_std=0.01)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.pool1(self.layer1(image))
        x = self.pool2(self.layer2(x))
        x = self.layer4(self.pool3(self.layer3(x)))
        if image.shape[-2] >= LARGE:
            x = self.pool4(x)
        x = self.avgpool(self.layer5(x))
        logits: Tensor = self.fc(x.flatten(1))
        return logits


def _stage(convolutions: int, inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (inputs, *[outputs] * (convolutions - 1)):
        # The bias is idle before a batch norm, but the benchmark's networks have it.
        layers += [nn.Conv2d(before, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def build_vgg(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`vgg13`: one of the five depths."""
    return VGG(CONVOLUTIONS[found[0]], classes=ask.classes, channels=ask.channels)
