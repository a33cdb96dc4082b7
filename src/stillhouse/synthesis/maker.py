"""The maker: what every method of synthesis is, from noise to optimised pixels."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.errors import RecipeError
from stillhouse.synthesis.targets import Targets
from stillhouse.synthesis.teacher import FrozenTeacher

IMAGES_ON_CPU = 1000
"""Images at once on a CPU, where more are no faster: their activations leave the caches."""
PER_CELL = 100
"""Images of one cell in a batch of a chained method: the batch of the released Zero-Shot code."""
FILL = 0.5
"""Share of the free memory of an accelerator that a batch may take."""
TRIAL = 64
"""Images whose memory is measured."""
MOST = 1 << 16
"""Images at once, whatever the memory."""


@dataclass(frozen=True, eq=False)
class Request:
    """What a batch is to be.

    Args:
        rows: [B] numbers of the images in the whole set.
        targets: of these rows; None where a method asks the teacher for nothing.
        previous: the images of the batch before, for a method that goes on from them.
        earlier: gives the images of all rows before, in their order, for a method that learns from
            them and was stopped: they are read only when it asks.
    """

    rows: Tensor
    targets: Targets | None
    previous: Tensor | None = None
    earlier: Callable[[], Tensor] | None = None

    @property
    def first(self) -> int:
        """The number of the first image."""
        return int(self.rows[0])


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """New images, and what they took.

    Shapes:
        images: [B, C, H, W] float32, as the teacher sees them, on any device; steps: [B] int64, how
        many updates each has had.
    """

    images: Tensor
    steps: Tensor


MakeBatch = Callable[[Request], ImageBatch]


class Maker(ABC):
    """A method with its settings. Knows no teacher until it is opened on one.

    Args:
        name: of the method.
        settings: plain data; with the name all that decides what is made of a teacher.
        temperature: of the softmax that is compared with the targets.
        batch: images that are made together; None: as many as the device takes.
        coupled: whether the images of a batch depend on each other, so that ``batch`` decides.
        chained: whether a batch goes on from the one before.
        most: how many images it can give; None: as many as are asked for.
    """

    name: str
    settings: Mapping[str, Any]
    temperature: float = 1.0
    batch: int | None = None
    coupled: bool = False
    chained: bool = False
    most: int | None = None

    def check_count(self, count: int) -> None:
        """Refuse to make none, or more than there can be. Raises RecipeError."""
        if count < 1 or (self.batch is not None and self.batch < 1):
            said = f"count {count}, batch {self.batch}: give 1 or more"
            raise RecipeError("synthesis", [said])
        if self.most is not None and count > self.most:
            said = f"{count} images are asked for and '{self.name}' has {self.most}; ask for fewer"
            raise RecipeError("synthesis", [said])

    def check(self, teacher: FrozenTeacher) -> None:  # noqa: B027  (most methods take any)
        """Refuse a teacher that this method cannot use. Raises ModelError."""

    def targets(self, teacher: FrozenTeacher, count: int, seed: int) -> Targets | None:
        """What the teacher is to say of each image."""
        return None

    def about(self, teacher: FrozenTeacher) -> Mapping[str, Any]:
        """What the manifest is to say beside the settings: what was read off the teacher."""
        return {}

    @contextmanager
    @abstractmethod
    def opened(self, teacher: FrozenTeacher, seed: int, work: Path) -> Iterator[MakeBatch]:
        """Ready to make batches; ``work`` keeps what must survive a kill, and may not exist yet.

        A batch is stored after it was given, so what the next batch needs must be in ``work``
        before, beside what this one needed: after a kill either may be asked for. The block ends
        without an exception when all is stored.
        """

    def rows_at_once(self, teacher: FrozenTeacher, targets: Targets | None) -> int:
        """How many images a batch has.

        Raises:
            RecipeError: chained batches are to have as many images of each cell, and cannot.
        """
        if self.chained and targets is not None:
            cells = int(targets.cell.max()) + 1
            batch = self.batch or PER_CELL * cells
            if batch % cells:
                raise RecipeError(
                    "synthesis",
                    [f"batch {batch} is no multiple of {cells}: chained batches hold as many images"
                     " of each class and beta"],
                )  # fmt: skip
            return batch
        if self.batch is not None:
            return self.batch
        return IMAGES_ON_CPU if teacher.device.type == "cpu" else images_that_fit(teacher)


def images_that_fit(teacher: FrozenTeacher) -> int:
    """Images whose activations and gradients take half of the free memory of an accelerator."""
    if teacher.device.type != "cuda":
        return IMAGES_ON_CPU
    images = torch.zeros(TRIAL, *teacher.image_shape, device=teacher.device, requires_grad=True)
    torch.cuda.reset_peak_memory_stats(teacher.device)
    before = torch.cuda.memory_allocated(teacher.device)
    teacher.module(images).sum().backward()
    each = max((torch.cuda.max_memory_allocated(teacher.device) - before) / TRIAL, 1.0)
    free, _ = torch.cuda.mem_get_info(teacher.device)
    return max(1, min(int(FILL * free / each), MOST))
