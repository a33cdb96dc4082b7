"""A problem that a network of a hundred parameters learns in a second."""

import copy
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.seeding import seeded

IMAGES, SIDE, CLASSES = 48, 8, 3
TEACHING_STEPS = 60


def toy_batches(*, views: int = 2) -> Batches:
    """Small noisy images of three classes that differ in their colour, shuffled and flipped.

    >>> toy_batches().sample()["batch.image"].shape
    torch.Size([4, 3, 8, 8])
    """
    made = torch.Generator().manual_seed(0)
    labels = torch.arange(IMAGES) % CLASSES
    images = torch.randint(0, 120, (IMAGES, SIDE, SIDE, 3), generator=made)
    images += 100 * F.one_hot(labels, 3)[:, None, None, :]
    augment = Augment((0.5,) * 3, (0.25,) * 3, crop=1, flip=True)
    return Batches(ImageTable(images.to(torch.uint8), labels), augment, batch_size=8, views=views)


class ToyNet(nn.Module):
    """Two resolutions, batch norm, dropout and a linear head: all that a stage can disturb.

    >>> ToyNet(4)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 3])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.down = nn.Sequential(
            nn.Conv2d(width, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(width, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of images."""
        pooled = self.down(self.relu(self.bn(self.conv(image)))).mean((2, 3))
        logits: Tensor = self.fc(self.drop(pooled))
        return logits


def untaught(width: int) -> ToyNet:
    """A student; the same one each time."""
    with seeded("toy student", width):
        return ToyNet(width)


def taught(width: int) -> ToyNet:
    """A trained teacher; the same one each time.

    >>> taught(4) is taught(4)
    False
    """
    return copy.deepcopy(_taught(width))


@lru_cache(maxsize=8)
def _taught(width: int) -> ToyNet:
    with seeded("toy teacher", width):
        net, batch = ToyNet(width), toy_batches().show(torch.arange(IMAGES), 0)
        optimizer = torch.optim.Adam(net.parameters(), 0.05)
        for _ in range(TEACHING_STEPS):
            F.cross_entropy(net(batch["batch.image"]), batch["batch.label"]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return net
