"""The generator of DAFL, DFAD and Fast-DFKD: latent numbers in, images out."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.engine.seeding import seeded
from stillhouse.synthesis.teacher import FrozenTeacher

SLOPE = 0.2


class Generator(nn.Module):
    """A linear layer, then two times up and three convolutions, with batch norm; sigmoid at last.

    Modules: project, norm0, conv1, norm1, conv2, norm2, conv3.

    Shapes:
        forward: [B, latent] -> [B, C, H, W], normalised as the teacher's images are.

    Args:
        image_shape: channels, height, width; sides that four does not divide are cut to size.
        mean, std: of the teacher's images, one number per channel.
        latent: how many numbers an image is made of. 256: DFAD and Fast-DFKD.
        width: channels. 64: DAFL and the CMI benchmark code.

    Paper: Chen et al., "Data-Free Learning of Student Networks", ICCV 2019, after DCGAN.

    Differs from the authors' code: a sigmoid and the teacher's normalisation in place of tanh and a
        batch norm without parameters, as in the CMI benchmark code.

    >>> images = Generator((1, 6, 7), (0.5,), (0.5,), latent=3, width=4)(torch.randn(2, 3))
    >>> tuple(images.shape), bool(images.abs().max() <= 1)
    ((2, 1, 6, 7), True)
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        latent: int = 256,
        width: int = 64,
    ) -> None:
        super().__init__()
        channels, self.height, self.width = image_shape
        self.low = (-(-self.height // 4), -(-self.width // 4))
        self.wide = 2 * width
        self.project = nn.Linear(latent, self.wide * self.low[0] * self.low[1])
        self.norm0 = nn.BatchNorm2d(self.wide)
        self.conv1 = nn.Conv2d(self.wide, self.wide, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(self.wide)
        self.conv2 = nn.Conv2d(self.wide, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 3, padding=1)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, latent: Tensor) -> Tensor:
        """Images of a batch of latent numbers."""
        x = self.project(latent).view(len(latent), self.wide, *self.low)
        x = F.interpolate(self.norm0(x), scale_factor=2.0)
        x = F.leaky_relu(self.norm1(self.conv1(x)), SLOPE)
        x = F.interpolate(x, scale_factor=2.0)
        x = F.leaky_relu(self.norm2(self.conv2(x)), SLOPE)
        pixels = torch.sigmoid(self.conv3(x))[:, :, : self.height, : self.width]
        images: Tensor = (pixels - self.mean) / self.std
        return images


def new_generator(teacher: FrozenTeacher, seed: int, *, latent: int, width: int) -> Generator:
    """A fresh generator of a teacher's images; latent and width as of `Generator`."""
    shape, mean, std = teacher.image_shape, teacher.mean, teacher.std
    with seeded(seed, "generator"):
        return Generator(shape, mean, std, latent=latent, width=width)
