"""The networks that are measured: a student, its teacher, and the images that they see."""

from dataclasses import dataclass

import torch
from torch import nn

from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.errors import MissingExtra
from stillhouse.models import build_model

CLASSES = 100
TORCHVISION = "torchvision:"


@dataclass(frozen=True)
class Pair:
    """A student and its teacher, by name; `TORCHVISION` before a name says whose it is.

    Args:
        name: as the result file calls it.
        side: of the square images.
        batch: images of a step.
    """

    name: str
    student: str
    teacher: str
    side: int
    batch: int

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Both, on the processor; the same weights at each call.

        Raises:
            MissingExtra: they are torchvision's, which is not installed.
        """
        torch.manual_seed(0)
        return self._built(self.student), self._built(self.teacher).eval()

    def _built(self, name: str) -> nn.Module:
        if not name.startswith(TORCHVISION):
            return build_model(name, classes=CLASSES, size=self.side)
        try:
            from torchvision import models
        except ImportError:
            raise MissingExtra(f"the network {name}", "torchvision", "torchvision") from None
        return models.get_model(name.removeprefix(TORCHVISION), num_classes=CLASSES)

    def data(self, device: torch.device, *, steps: int = 8) -> Batches:
        """Random images on the device, cropped and flipped there; one view, so caching is short."""
        made = torch.Generator().manual_seed(0)
        rows, side = steps * self.batch, self.side
        images = torch.randint(0, 256, (rows, side, side, 3), generator=made, dtype=torch.uint8)
        labels = torch.randint(0, CLASSES, (rows,), generator=made)
        augment = Augment((0.5,) * 3, (0.25,) * 3, crop=4, flip=True)
        return Batches(
            ImageTable(images, labels), augment, batch_size=self.batch, views=1, device=device
        )


PAIRS = (
    Pair("resnet20", "resnet20", "resnet56", 32, 128),
    Pair("wrn_16_2", "wrn_16_2", "wrn_40_2", 32, 128),
    Pair("resnet18@224", "torchvision:resnet18", "torchvision:resnet34", 224, 128),
    Pair("ViT-S/16@224", "vit-384-12-6-p16", "vit-768-12-12-p16", 224, 128),
)
"""Small networks, whose launches cost more than their arithmetic, and large ones."""

TOY = (
    Pair("toy convnet", "convnet-4-8", "convnet-8-8", 8, 4),
    Pair("toy ViT", "vit-16-1-2-p4", "vit-16-2-2-p4", 8, 4),
)
"""So small that a processor runs all of it in seconds; their numbers mean nothing."""
