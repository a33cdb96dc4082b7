"""LeNet-5 and its half, the pair of the data-free literature."""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.family import ModelRequest

SIDE = 32
# Digits of 28x28 get a border of 2, as in the paper.
PADDED_SIDE = 28


class LeNet5(nn.Module):
    """Two 5x5 convolutions with pooling, then 120 and 84 units and the classifier.

    Modules: conv1, relu1, pool1, conv2, relu2, pool2, fc1, relu3, fc2, relu4, fc. Taps that
    methods use: `pool1`, `pool2`, `fc:in` (the embedding of 84).

    Shapes: images `[B, channels, 32, 32]`, or `[B, channels, 28, 28]` which get a border of
    two pixels of value 0 -> logits `[B, classes]`.

    Args:
        classes: number of logits.
        channels: channels of the images.
        maps: channels of the two convolutions. 6 and 16: the paper; 3 and 8: LeNet-5-Half.

    Raises:
        ModelError: `forward` meets images of another size.

    Paper: LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998; the half
    of Nayak et al., Zero-Shot Knowledge Distillation in Deep Networks, ICML 2019.

    Differs from the paper: ReLU and max pooling without weights, all maps connected, a linear
    classifier, as in the distillation literature.

    >>> from stillhouse.models.weights import describe
    >>> describe(LeNet5(classes=10, channels=1)).parameters
    61706
    >>> describe(LeNet5(classes=10, channels=1, maps=(3, 8))).parameters
    35820
    """

    def __init__(self, *, classes: int, channels: int = 1, maps: tuple[int, int] = (6, 16)) -> None:
        super().__init__()
        first, second = maps
        self.conv1 = nn.Conv2d(channels, first, 5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(first, second, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(second * 5 * 5, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc = nn.Linear(84, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        height, width = image.shape[-2:]
        if height == PADDED_SIDE and width == PADDED_SIDE:
            image = F.pad(image, [(SIDE - PADDED_SIDE) // 2] * 4)
        elif height != SIDE or width != SIDE:
            raise ModelError(_wrong_size("LeNet-5", height, width))
        x = self.pool1(self.relu1(self.conv1(image)))
        x = self.pool2(self.relu2(self.conv2(x))).flatten(1)
        x = self.relu4(self.fc2(self.relu3(self.fc1(x))))
        logits: Tensor = self.fc(x)
        return logits


def _wrong_size(name: str, height: int, width: int) -> str:
    return (
        f"{name} takes images of {SIDE}x{SIDE} or {PADDED_SIDE}x{PADDED_SIDE}, got "
        f"{height}x{width}; resize them, or take a network for any size such as 'convnet-8-16-32'"
    )


def build_lenet(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`lenet5` or `lenet5_half`; a size that cannot work is refused here already."""
    if ask.size is not None and ask.size not in ((SIDE, SIDE), (PADDED_SIDE, PADDED_SIDE)):
        raise ModelError(_wrong_size(f"'{ask.name}'", *ask.size))
    maps = (3, 8) if found["half"] else (6, 16)
    return LeNet5(classes=ask.classes, channels=ask.channels, maps=maps)
