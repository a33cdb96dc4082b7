"""Baselines that are drawn, not optimised: noise, and real images that have nothing to do with it.

They stand here because they embarrass weak methods: with augmentation and enough steps a student
of Gaussian noise reaches 91 % on MNIST (1,000 images, LeNet-5 and its half).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.data.load import Splits, load
from stillhouse.data.tables import FloatTable, ImageTable
from stillhouse.errors import DataError
from stillhouse.methods.settings import Positive, checked
from stillhouse.synthesis.inputs import gaussian_noise, uniform_noise
from stillhouse.synthesis.maker import ImageBatch, MakeBatch, Maker, Request
from stillhouse.synthesis.teacher import FrozenTeacher


@dataclass(frozen=True, eq=False)
class Sampling(Maker):
    """Images that are drawn or taken, not optimised.

    Args:
        name, settings, most: as of `Maker`.
        draw: (teacher, seed, rows) -> images.
    """

    name: str
    draw: Callable[[FrozenTeacher, int, Tensor], Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    most: int | None = None

    @contextmanager
    def opened(self, teacher: FrozenTeacher, seed: int, work: Path) -> Iterator[MakeBatch]:
        """Draw."""

        def make(request: Request) -> ImageBatch:
            images = self.draw(teacher, seed, request.rows)
            return ImageBatch(images, torch.zeros(len(images), dtype=torch.int64))

        yield make


@checked
def noise_uniform() -> Sampling:
    """Pixels drawn from U[0, 1], then normalised as the teacher's images were.

    >>> noise_uniform().name
    'noise_uniform'
    """

    def draw(teacher: FrozenTeacher, seed: int, rows: Tensor) -> Tensor:
        return teacher.normalised(uniform_noise(seed, rows.to(teacher.device), teacher.image_shape))

    return Sampling("noise_uniform", draw)


@checked
def noise_gaussian(*, std: Positive = 1.0) -> Sampling:
    """Pixels drawn from N(0, std), in the units that the teacher sees.

    Args:
        std: 1.0: what normalised images have.

    >>> noise_gaussian(std=2.0).settings
    {'std': 2.0}
    """

    def draw(teacher: FrozenTeacher, seed: int, rows: Tensor) -> Tensor:
        return gaussian_noise(seed, rows.to(teacher.device), teacher.image_shape) * std

    return Sampling("noise_gaussian", draw, {"std": std})


def real(*, table: FloatTable) -> Sampling:
    """Images that the teacher was trained on, in random order: what no image made of it can beat.

    Their own labels are not used: like every other transfer set, they get the teacher's.

    Args:
        table: the images as the teacher takes them.

    >>> from stillhouse.synthesis.inputs import gaussian_noise
    >>> images = gaussian_noise(0, torch.arange(3), (8, 8, 1))
    >>> real(table=FloatTable(images, torch.zeros(3, dtype=torch.int64))).name
    'real'
    """

    def draw(teacher: FrozenTeacher, seed: int, rows: Tensor) -> Tensor:
        order = _order(len(table), seed, rows)
        return table.images[order].permute(0, 3, 1, 2).to(teacher.device)

    return Sampling("real", draw, {"data": table.fingerprint()}, len(table))


def _order(there: int, seed: int, rows: Tensor) -> Tensor:
    """Which images these rows are, of so many in random order."""
    return torch.randperm(there, generator=torch.Generator().manual_seed(seed))[rows]


def unrelated(*, source: Any) -> Sampling:
    """Real images of another data set, brought to the teacher's size and channels, in random order.

    Args:
        source: what `data.load` takes: 'digits', a folder, an .npz, ...; its training images are
            used, its labels are not.

    Raises:
        DataError: the source cannot be read, or holds images that are not in memory as bytes.

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

    def draw(teacher: FrozenTeacher, seed: int, rows: Tensor) -> Tensor:
        order = _order(len(table), seed, rows)
        pixels = table.images[order].permute(0, 3, 1, 2).float().to(teacher.device) / 255
        channels, height, width = teacher.image_shape
        if pixels.shape[1] != channels:
            pixels = pixels.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        sized = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
        return teacher.normalised(sized.clamp(0, 1))

    settings = {"source": given.name, "data": table.fingerprint()}
    return Sampling("unrelated", draw, settings, len(table))
