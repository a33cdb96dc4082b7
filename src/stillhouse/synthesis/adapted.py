"""Adapted: each batch of images is made by a copy of a generator that learned for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.seeding import seeded
from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError
from stillhouse.synthesis.adapting import STUDENT, Adapting
from stillhouse.synthesis.between import Between
from stillhouse.synthesis.generated import own_generator, own_student
from stillhouse.synthesis.held import Shifted
from stillhouse.synthesis.maker import Made, Make, Maker, Wanted
from stillhouse.synthesis.noise import gaussian_noise
from stillhouse.synthesis.norm_average import NormAverage
from stillhouse.synthesis.origin import Origin, Rule
from stillhouse.synthesis.pupil import Pupil
from stillhouse.synthesis.subject import Subject
from stillhouse.synthesis.targets import Targets, one_hot_targets


@dataclass(frozen=True, eq=False)
class Adapted(Maker):
    """Adapt a copy of a generator to each batch, keep what it makes, and learn from it.

    The student that is trained along is kept in ``work/student.safetensors``. A synthesis goes on
    with the same bits wherever it was killed (`Between`).

    Args:
        name, settings, batch, coupled: as of `Maker`.
        terms: what images are judged by, as of `Adapting`.
        student: a name of a model, or a module, of which a copy is trained.
        inner, lr_g, lr_z: updates of each batch, and learning rates of copy and latent numbers.
        meta: how the generator learns from the copy; its Adam has a rate of ``inner * lr_g``.
        warmup: batches before the student is trained.
        student_steps, student_lr, temperature_of_kd: of the student, after each batch.
        shifted: what teacher and student see of the images.
        latent, width: of the `Generator`.
    """

    name: str
    terms: Callable[[Subject], Sequence[Term]]
    student: str | nn.Module
    settings: Mapping[str, Any] = field(default_factory=dict)
    inner: int = 5
    lr_g: float = 5e-3
    lr_z: float = 0.015
    meta: Rule = "fomaml"
    warmup: int = 20
    student_steps: int = 400
    student_lr: float = 1e-3
    temperature_of_kd: float = 20.0
    shifted: Shifted | None = None
    batch: int = 256
    latent: int = 256
    width: int = 64
    coupled: bool = True

    def check(self, subject: Subject) -> None:
        """Make the terms and build the student: each says what it misses."""
        self.terms(subject)
        own_student(self.student, subject, seed=0)

    def targets(self, subject: Subject, count: int, seed: int) -> Targets:
        """One class each, all classes in turn.

        Raises:
            RecipeError: there are so few batches that the student would never be trained.
        """
        batches = -(-count // self.batch)
        if batches <= self.warmup:
            raise RecipeError(
                f"synthesis '{self.name}'",
                [f"{count} images are {batches} batches of {self.batch}, and the student learns "
                 f"after a warmup of {self.warmup}; lower warmup or batch, or ask for more"],
            )  # fmt: skip
        return one_hot_targets(subject.classes, count)

    @contextmanager
    def opened(self, subject: Subject, seed: int, work: Path) -> Iterator[Make]:
        """Make batches, one after the other."""
        course = _Course(self, subject, seed, work)
        try:
            yield course.make
        finally:
            course.close()
        course.between.forget()


class _Course:
    """A synthesis on its way."""

    def __init__(self, plan: Adapted, subject: Subject, seed: int, work: Path) -> None:
        self.plan, self.subject, self.seed = plan, subject, seed
        generator = own_generator(subject, seed, latent=plan.latent, width=plan.width)
        origin = Origin(generator.to(subject.device), plan.meta, plan.inner * plan.lr_g)
        self.pupil = Pupil(
            subject, own_student(plan.student, subject, seed), plan.shifted,
            steps=plan.student_steps, lr=plan.student_lr, temperature=plan.temperature_of_kd,
            batch_size=plan.batch,
        )  # fmt: skip
        terms = plan.terms(subject)
        self.adapting = Adapting(
            subject, origin, self.pupil.student, terms, plan.shifted,
            latent=plan.latent, steps=plan.inner, lr_g=plan.lr_g, lr_z=plan.lr_z,
        )  # fmt: skip
        self.averages = [term.loss for term in terms if isinstance(term.loss, NormAverage)]
        self.between = Between(work, plan.name, origin, self.pupil, self.averages, subject.device)

    def make(self, wanted: Wanted) -> Made:
        """One batch; when it is given, what the next one needs is in the work folder."""
        first, count = self.between.begin(wanted), len(wanted.rows)
        kept = f"batches that were finished before image {first} are kept"
        number = first // self.plan.batch
        with seeded(self.seed, "batch", first):
            images = self._adapt(wanted, number, kept).float().contiguous()
        for average in self.averages:
            average.follow()
        self.pupil.bank.add(images.cpu())
        if number >= self.plan.warmup:
            with seeded(self.seed, STUDENT, first):
                self.pupil.learn(kept)
        self.between.leave(first + count)
        return Made(images, torch.full((count,), self.plan.inner))

    def _adapt(self, wanted: Wanted, number: int, kept: str) -> Tensor:
        device = self.subject.device
        latent = gaussian_noise(self.seed, wanted.rows.to(device), [self.plan.latent])
        targets = wanted.targets or one_hot_targets(self.subject.classes, len(latent))
        target = targets.probabilities.to(device)
        return self.adapting.make(latent, target, number=number, kept=kept)

    def close(self) -> None:
        """Leave no hook behind."""
        self.adapting.close()
        self.pupil.close()
