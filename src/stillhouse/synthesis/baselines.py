"""Baselines that are drawn, not optimised: noise, and real images that have nothing to do with it.

They stand here because they embarrass weak methods: with augmentation and enough steps a student
of Gaussian noise reaches 91 % on MNIST (1,000 images, LeNet-5 and its half).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.load import Splits, load
from stillhouse.data.tables import FloatTable, ImageTable
from stillhouse.errors import DataError
from stillhouse.methods.settings import Positive, checked
from stillhouse.synthesis.maker import Drawn
from stillhouse.synthesis.noise import gaussian_noise, uniform_noise
from stillhouse.synthesis.subject import Subject


@checked
def noise_uniform() -> Drawn:
    """Pixels drawn from U[0, 1], then normalised as the teacher's images were.

    >>> noise_uniform().name
    'noise_uniform'
    """

    def draw(subject: Subject, seed: int, rows: Tensor) -> Tensor:
        return subject.normalised(uniform_noise(seed, rows.to(subject.device), subject.image_shape))

    return Drawn("noise_uniform", draw)


@checked
def noise_gaussian(*, std: Positive = 1.0) -> Drawn:
    """Pixels drawn from N(0, std), in the units that the teacher sees.

    Args:
        std: 1.0: what normalised images have.

    >>> noise_gaussian(std=2.0).settings
    {'std': 2.0}
    """

    def draw(subject: Subject, seed: int, rows: Tensor) -> Tensor:
        return gaussian_noise(seed, rows.to(subject.device), subject.image_shape) * std

    return Drawn("noise_gaussian", draw, {"std": std})


def unrelated(*, source: Any) -> Drawn:
    """Real images of another data set, brought to the teacher's size and channels, in random order.

    Args:
        source: what `data.load` takes: 'digits', a folder, an .npz, ...; its training images are
            used, its labels are not.

    Raises:
        DataError: the source cannot be read, holds images that are not in memory as bytes, or has
            fewer images than are asked for.

    >>> unrelated(source="digits").name
    'unrelated'
    """
    given = source if isinstance(source, Splits) else load(source, validation=0, test=0)
    table = given.train
    if not isinstance(table, ImageTable) or isinstance(table, FloatTable):
        raise DataError(
            f"'{given.name}' has no images of one size in bytes; unrelated images are resized from "
            "these: give such a source (data.load(..., ) of a folder of equal sizes, an .npz, ...)"
        )

    def draw(subject: Subject, seed: int, rows: Tensor) -> Tensor:
        if int(rows.max()) >= len(table):
            raise DataError(
                f"'{given.name}' has {len(table)} images and {int(rows.max()) + 1} are asked for; "
                "ask for fewer"
            )
        order = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))
        pixels = table.images[order[rows]].permute(0, 3, 1, 2).float().to(subject.device) / 255
        channels, height, width = subject.image_shape
        if pixels.shape[1] != channels:
            pixels = pixels.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        sized = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
        return subject.normalised(sized.clamp(0, 1))

    return Drawn("unrelated", draw, {"source": given.name, "data": table.fingerprint()})
