"""Generated: images of a generator that is trained against a frozen teacher, beside a student."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import FloatTable
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.optimisers import adamw, constant
from stillhouse.engine.seeding import seeded
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.trainer import Settings
from stillhouse.models import build_model, load_weights, weights_fingerprint
from stillhouse.records.files import save_tensors
from stillhouse.synthesis.generator import Generator
from stillhouse.synthesis.maker import Made, Make, Maker, Wanted
from stillhouse.synthesis.noise import gaussian_noise
from stillhouse.synthesis.snapshots import Snapshots
from stillhouse.synthesis.subject import Subject

MADE, LATENT, STUDENT = "made", "latent", "student"
CHECKPOINT_SECONDS = 30.0
"""Least time between checkpoints of a generator on its way."""
PER_EPOCH = 50
"""Most steps between two lines of metrics."""

Updates = Callable[[Subject], Sequence[Update]]


class Latent(nn.Module):
    """Fresh numbers of N(0, 1) for each image of a batch."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, index: Tensor) -> Tensor:
        """Shapes: [B] to [B, size]."""
        return torch.randn(len(index), self.size, device=index.device)


@dataclass(frozen=True, eq=False)
class Generated(Maker):
    """Train a generator and a student in turns, then draw images from the generator.

    The trained generator is kept in ``work/generator.safetensors`` (earlier snapshots beside it),
    the student that it was trained against in ``work/student.safetensors``.

    Args:
        name, settings: as of `Maker`.
        updates: of the stage, on signals 'made', 'teacher.*' and 'student.*'.
        student: a name of a model, or a module, of which a copy is trained.
        steps: of the stage.
        batch_size: images of a step.
        latent, width: of the `Generator`.
        snapshots: of the generator that images are drawn from in turn, row by row.
    """

    name: str
    updates: Updates
    student: str | nn.Module
    steps: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 256
    latent: int = 256
    width: int = 64
    snapshots: int = 1

    def check(self, subject: Subject) -> None:
        """Build what is trained, and the updates: each says what it misses."""
        self.stage(subject, seed=0)

    def generator(self, subject: Subject, seed: int) -> Generator:
        """A fresh one."""
        return own_generator(subject, seed, latent=self.latent, width=self.width)

    def stage(self, subject: Subject, seed: int, generator: nn.Module | None = None) -> Stage:
        """Numbers, a generator that learns, a frozen teacher and a student that see its images."""
        nodes: list[Node] = [
            Bridge(LATENT, Latent(self.latent), "batch.index"),
            Bridge(MADE, generator or self.generator(subject, seed), LATENT),
            subject.role(MADE),
            Role(STUDENT, own_student(self.student, subject, seed), reads=MADE),
        ]
        return Stage(self.name, nodes, self.updates(subject), measures={}, keeps=MADE)

    @contextmanager
    def opened(self, subject: Subject, seed: int, work: Path) -> Iterator[Make]:
        """Train, or go on with it, or load what was trained; then draw."""
        generator = self.generator(subject, seed)
        snapshots = Snapshots(generator, work, self.snapshots)
        if not snapshots.paths[-1].exists():
            self._train(generator, snapshots, subject, seed, work)
        generators = [copy.deepcopy(generator) for _ in snapshots.paths]
        for one, path in zip(generators, snapshots.paths, strict=True):
            load_weights(one, path)
            one.to(subject.device).eval()

        def make(wanted: Wanted) -> Made:
            rows = wanted.rows.to(subject.device)
            latent = gaussian_noise(seed, rows, [self.latent])
            images = torch.empty(len(rows), *subject.image_shape, device=subject.device)
            for number, one in enumerate(generators):
                mine = (rows % len(generators) == number).nonzero().squeeze(1)
                if len(mine):
                    with torch.no_grad():
                        images[mine] = one(latent[mine])
            return Made(images, torch.full((len(rows),), self.steps))

        yield make

    def _train(
        self,
        generator: nn.Module,
        snapshots: Snapshots,
        subject: Subject,
        seed: int,
        work: Path,
    ) -> None:
        stage = self.stage(subject, seed, generator)
        per_epoch = divisor(self.steps, most=PER_EPOCH)
        fitted = fit(
            stage,
            _clock(per_epoch * self.batch_size, self.batch_size, subject.device),
            Settings(
                epochs=self.steps // per_epoch,
                seed=seed,
                checkpoint_seconds=CHECKPOINT_SECONDS,
            ),
            subject.platform,
            directory=work,
            identity=self.name,
            observer=snapshots,
        )
        save_tensors(work / "student.safetensors", fitted.last[STUDENT], {"role": STUDENT})
        save_tensors(work / "generator.safetensors", fitted.last[MADE], {"role": "generator"})


def divisor(steps: int, *, most: int) -> int:
    """The largest number up to ``most`` that divides the steps, so that none is added.

    >>> divisor(1000, most=50), divisor(60, most=50), divisor(7, most=50)
    (50, 30, 7)
    """
    return next(each for each in range(min(most, steps), 0, -1) if steps % each == 0)


def _clock(rows: int, batch_size: int, device: torch.device) -> Batches:
    """Batches that only tell how many images a step has: there is no data here."""
    nothing = FloatTable(torch.zeros(rows, 1, 1, 1), torch.zeros(rows, dtype=torch.int64))
    return Batches(nothing, Augment((0.0,), (1.0,)), batch_size=batch_size, device=device)


def own_generator(subject: Subject, seed: int, *, latent: int, width: int) -> Generator:
    """A fresh generator of a teacher's images."""
    with seeded(seed, "generator"):
        return Generator(subject.image_shape, subject.mean, subject.std, latent=latent, width=width)


def own_student(student: str | nn.Module, subject: Subject, seed: int) -> nn.Module:
    """A copy of a module, or a fresh network of that name, that may be trained."""
    if isinstance(student, nn.Module):
        return copy.deepcopy(student)
    channels, height, _ = subject.image_shape
    with seeded(seed, "network"):
        return build_model(student, classes=subject.classes, channels=channels, size=height)


def student_identity(student: str | nn.Module) -> str:
    """What stands for a student in a description.

    >>> student_identity("lenet5_half")
    'lenet5_half'
    """
    return student if isinstance(student, str) else weights_fingerprint(student)


def update(name: str, learns: str, terms: Sequence[Any], lr: float, **more: Any) -> Update:
    """An update with an Adam of its own; betas (0.5, 0.999) for a generator, as in DCGAN."""
    betas = (0.5, 0.999) if learns == MADE else (0.9, 0.999)
    optimizer = adamw(lr, weight_decay=0.0, betas=betas)
    return Update(learns, terms, name=name, optimizer=optimizer, schedule=constant(), **more)
