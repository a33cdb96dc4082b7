"""Maker: what every method of synthesis is, from noise to optimised pixels."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stillhouse.errors import RecipeError
from stillhouse.synthesis.subject import Subject
from stillhouse.synthesis.targets import Targets

IMAGES_ON_CPU = 1000
"""Images at once on a CPU, where more are no faster: their activations leave the caches."""


@dataclass(frozen=True, eq=False)
class Made:
    """A batch of new images.

    Shapes:
        images: [B, C, H, W] float32, as the teacher sees them, on any device; steps: [B] int64, how
        many updates each has had.
    """

    images: Tensor
    steps: Tensor


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a batch is to be.

    Args:
        rows: [B] numbers of the images in the whole set.
        targets: of these rows; None where a method asks the teacher for nothing.
        before: the images of the batch before, for a method that goes on from them.
        earlier: gives the images of all rows before, in their order, for a method that learns from
            them and was stopped: they are read only when it asks.
    """

    rows: Tensor
    targets: Targets | None
    before: Tensor | None = None
    earlier: Callable[[], Tensor] | None = None


Make = Callable[[Wanted], Made]


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

    def check(self, subject: Subject) -> None:  # noqa: B027  (most methods take any classifier)
        """Refuse a teacher that this method cannot use. Raises ModelError."""

    def targets(self, subject: Subject, count: int, seed: int) -> Targets | None:
        """What the teacher is to say of each image."""
        return None

    def about(self, subject: Subject) -> Mapping[str, Any]:
        """What the manifest is to say beside the settings: what was read off the teacher."""
        return {}

    @contextmanager
    @abstractmethod
    def opened(self, subject: Subject, seed: int, work: Path) -> Iterator[Make]:
        """Ready to make batches; ``work`` keeps what must survive a kill, and may not exist yet.

        A batch is stored after it was given, so what the next batch needs must be in ``work``
        before, beside what this one needed: after a kill either may be asked for. The block ends
        without an exception when all is stored.
        """

    def rows_at_once(self, subject: Subject) -> int:
        """How many images a batch has."""
        if self.batch is not None:
            return self.batch
        return IMAGES_ON_CPU if subject.device.type == "cpu" else images_that_fit(subject)


@dataclass(frozen=True, eq=False)
class Drawn(Maker):
    """Images that are drawn or taken, not optimised: the baselines.

    Args:
        name, settings: as of `Maker`.
        draw: (subject, seed, rows) -> images.
        most: as of `Maker`.
    """

    name: str
    draw: Callable[[Subject, int, Tensor], Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    most: int | None = None

    @contextmanager
    def opened(self, subject: Subject, seed: int, work: Path) -> Iterator[Make]:
        """Draw."""

        def make(wanted: Wanted) -> Made:
            images = self.draw(subject, seed, wanted.rows)
            return Made(images, torch.zeros(len(images), dtype=torch.int64))

        yield make


FILL = 0.5
TRIAL = 64
MOST = 1 << 16


def images_that_fit(subject: Subject) -> int:
    """Images whose activations and gradients take half of the free memory of an accelerator."""
    if subject.device.type != "cuda":
        return IMAGES_ON_CPU
    images = torch.zeros(TRIAL, *subject.image_shape, device=subject.device, requires_grad=True)
    torch.cuda.reset_peak_memory_stats(subject.device)
    before = torch.cuda.memory_allocated(subject.device)
    subject.module(images).sum().backward()
    each = max((torch.cuda.max_memory_allocated(subject.device) - before) / TRIAL, 1.0)
    free, _ = torch.cuda.mem_get_info(subject.device)
    return max(1, min(int(FILL * free / each), MOST))
