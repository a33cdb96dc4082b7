"""Images of a generator that is trained against a frozen teacher, in turns with a student."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import FloatTable
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.optimisers import adamw
from stillhouse.engine.schedules import constant
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings
from stillhouse.errors import DataError, RecipeError
from stillhouse.records.tensors import load_tensors, save_tensors
from stillhouse.synthesis.generator import new_generator
from stillhouse.synthesis.inputs import RandomLatent, gaussian_noise
from stillhouse.synthesis.maker import ImageBatch, MakeBatch, Maker, Request
from stillhouse.synthesis.student import STUDENT, STUDENT_FILE, new_student, student_identity
from stillhouse.synthesis.teacher import FrozenTeacher

IMAGES, LATENT = "images", "latent"
CHECKPOINT_SECONDS = 30.0
AGAIN = "delete {directory}, and the same synthesis trains its generator again"
"""Least time between checkpoints of a generator on its way."""
PER_EPOCH = 50
"""Most steps between two lines of metrics."""
GENERATOR_BETAS = (0.5, 0.999)
"""Of the generator's Adam, as in DCGAN."""

Updates = Callable[[FrozenTeacher], Sequence[Update]]


@dataclass(frozen=True, eq=False)
class GeneratorTraining(Maker):
    """Train a generator and a student in turns, then draw images from the generator.

    The trained generator is kept in ``work/generator.safetensors`` (earlier snapshots beside it),
    the student that it was trained against in ``work/student.safetensors``.

    Args:
        name: as of `Maker`.
        updates: of the stage, on signals 'images', 'teacher.*' and 'student.*'; see
            `generator_update` and `student_update`.
        student: a name of a model, or a module, of which a copy is trained.
        own: the settings that the updates were made with, as plain data.
        steps: of the stage.
        batch_size: images of a step.
        latent, width: of the `Generator`.
        snapshots: of the generator, over the second half of its training, that images are drawn
            from in turn, row by row. 1: the generator at the end.

    Raises:
        RecipeError: there are fewer steps than snapshots in the second half.
    """

    name: str
    updates: Updates
    student: str | nn.Module
    own: Mapping[str, Any]
    steps: int
    batch_size: int = 256
    latent: int = 256
    width: int = 64
    snapshots: int = 1
    settings: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        if self.snapshots > 1 and 2 * self.snapshots > self.steps:
            raise RecipeError(
                f"synthesis '{self.name}'",
                [f"the second half of {self.steps} steps has no {self.snapshots} snapshots; "
                 "ask for fewer"],
            )  # fmt: skip
        settings = {**self.own, "student": student_identity(self.student)}
        for name in ("steps", "batch_size", "latent", "width"):
            settings[name] = getattr(self, name)
        if self.snapshots > 1:  # not written for one, so that what was begun before goes on
            settings["snapshots"] = self.snapshots
        object.__setattr__(self, "settings", settings)

    def check(self, teacher: FrozenTeacher) -> None:
        """Build what is trained, and the updates: each says what it misses."""
        self.stage(teacher, seed=0)

    def stage(self, teacher: FrozenTeacher, seed: int, generator: nn.Module | None = None) -> Stage:
        """Numbers, a generator that learns, a frozen teacher and a student that see its images."""
        if generator is None:
            generator = new_generator(teacher, seed, latent=self.latent, width=self.width)
        nodes: list[Node] = [
            Bridge(LATENT, RandomLatent(self.latent), "batch.index"),
            Bridge(IMAGES, generator, LATENT),
            teacher.role(IMAGES),
            Role(STUDENT, new_student(self.student, teacher, seed), reads=IMAGES),
        ]
        return Stage(self.name, nodes, self.updates(teacher), measures={}, keeps=IMAGES)

    @contextmanager
    def opened(self, teacher: FrozenTeacher, seed: int, work: Path) -> Iterator[MakeBatch]:
        """Train, or go on with it, or load what was trained; then draw."""
        generator = new_generator(teacher, seed, latent=self.latent, width=self.width)
        snapshots = Snapshots(generator, work, self.snapshots)
        if not snapshots.paths[-1].exists():
            self._train(generator, snapshots, teacher, seed, work)
        generators = [copy.deepcopy(generator) for _ in snapshots.paths]
        for one, path in zip(generators, snapshots.paths, strict=True):
            one.load_state_dict(load_tensors(path, DataError, AGAIN.format(directory=work))[0])
            one.to(teacher.device).eval()

        def make(request: Request) -> ImageBatch:
            rows = request.rows.to(teacher.device)
            latent = gaussian_noise(seed, rows, [self.latent])
            images = torch.empty(len(rows), *teacher.image_shape, device=teacher.device)
            for number, one in enumerate(generators):
                mine = (rows % len(generators) == number).nonzero().squeeze(1)
                if len(mine):
                    with torch.no_grad():
                        images[mine] = one(latent[mine])
            return ImageBatch(images, torch.full((len(rows),), self.steps))

        yield make

    def _train(
        self,
        generator: nn.Module,
        snapshots: "Snapshots",
        teacher: FrozenTeacher,
        seed: int,
        work: Path,
    ) -> None:
        stage = self.stage(teacher, seed, generator)
        per_epoch = largest_divisor(self.steps, most=PER_EPOCH)
        fitted = fit(
            stage,
            _empty_batches(per_epoch * self.batch_size, self.batch_size, teacher.device),
            settings=Settings(
                epochs=self.steps // per_epoch,
                seed=seed,
                checkpoint_seconds=CHECKPOINT_SECONDS,
            ),
            platform=teacher.platform,
            directory=work,
            identity=self.name,
            observer=snapshots,
            keep_finished=False,
        )
        save_tensors(work / STUDENT_FILE, fitted.last[STUDENT], {"role": STUDENT})
        save_tensors(snapshots.paths[-1], fitted.last[IMAGES], {"role": "generator"})


def generator_update(terms: Sequence[Term], lr: float, *, every: int = 1) -> Update:
    """The generator's step, each so many of the stage's, with an Adam of its own."""
    optimizer = adamw(lr, weight_decay=0.0, betas=GENERATOR_BETAS)
    return Update(
        IMAGES, terms, name="generator", every=every, optimizer=optimizer, schedule=constant()
    )


def student_update(terms: Sequence[Term], lr: float) -> Update:
    """The student's step, with an Adam of its own."""
    optimizer = adamw(lr, weight_decay=0.0, betas=(0.9, 0.999))
    return Update(STUDENT, terms, name="student", optimizer=optimizer, schedule=constant())


def largest_divisor(steps: int, *, most: int) -> int:
    """The largest number up to ``most`` that divides the steps, so that none is added.

    >>> largest_divisor(1000, most=50), largest_divisor(60, most=50), largest_divisor(7, most=50)
    (50, 30, 7)
    """
    return next(each for each in range(min(most, steps), 0, -1) if steps % each == 0)


def _empty_batches(rows: int, batch_size: int, device: torch.device) -> Batches:
    """Batches that only tell how many images a step has: there is no data here."""
    nothing = FloatTable(torch.zeros(rows, 1, 1, 1), torch.zeros(rows, dtype=torch.int64))
    return Batches(nothing, Augment((0.0,), (1.0,)), batch_size=batch_size, device=device)


def snapshot_steps(steps: int, count: int) -> list[int]:
    """After which steps: evenly over the second half, the last one after all.

    >>> snapshot_steps(100, 1), snapshot_steps(100, 4)
    ([100], [63, 75, 88, 100])
    """
    return [-(-steps * (count + number) // (2 * count)) for number in range(1, count + 1)]


class Snapshots(NullObserver):
    """An observer of a fit that writes its snapshots, all but the last: that is the fit's result.

    It hears of a step before a checkpoint can hold it. So a fit that is stopped, and goes on from
    its checkpoint, finds every earlier snapshot written, or writes it again with the same bits.

    Args:
        module: what is trained.
        folder: where they go, as ``generator-1.safetensors``, ...
        count: how many, with the last.
    """

    def __init__(self, module: nn.Module, folder: Path, count: int) -> None:
        self.module, self.folder, self.count = module, folder, count
        self._step = 0
        self._due: dict[int, int] = {}

    def begin(self, stage: str, steps: int, done: int) -> None:
        """Know when; ``done`` steps were made before."""
        self._step = done
        due = snapshot_steps(steps, self.count)[:-1]
        self._due = {step: number for number, step in enumerate(due, start=1)}

    def step(self, images: int) -> None:
        """Count, and write when it is time."""
        self._step += 1
        number = self._due.get(self._step)
        if number is not None:
            about = {"role": "generator", "step": str(self._step)}
            save_tensors(self.path(number), self.module.state_dict(), about)

    def path(self, number: int) -> Path:
        """Where a snapshot is."""
        return self.folder / f"generator-{number}.safetensors"

    @property
    def paths(self) -> list[Path]:
        """All of them, the fit's result last."""
        before = [self.path(number) for number in range(1, self.count)]
        return [*before, self.folder / "generator.safetensors"]
