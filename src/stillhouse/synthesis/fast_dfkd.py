"""Fast-DFKD: a generator that learns to be adapted to each batch within a few steps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from stillhouse.engine.seeding import seeded
from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError
from stillhouse.methods.settings import Count, Positive, Weight, Width, checked
from stillhouse.synthesis.adaptation import (
    AdaptationState,
    BatchAdaptation,
    MetaGenerator,
    MetaRule,
)
from stillhouse.synthesis.generator import new_generator
from stillhouse.synthesis.inputs import RandomShift, gaussian_noise
from stillhouse.synthesis.maker import ImageBatch, MakeBatch, Maker, Request
from stillhouse.synthesis.priors import (
    MovingNormDistance,
    adversarial_kl,
    norm_term,
    soft_cross_entropy,
)
from stillhouse.synthesis.student import STUDENT, StudentTraining, new_student, student_identity
from stillhouse.synthesis.targets import Targets, one_hot_targets
from stillhouse.synthesis.teacher import FrozenTeacher


@dataclass(frozen=True, eq=False)
class GeneratorAdaptation(Maker):
    """Adapt a copy of a generator to each batch, keep what it makes, and learn from it.

    The student that is trained along is kept in ``work/student.safetensors``. A synthesis goes on
    with the same bits wherever it was killed (`AdaptationState`).

    Args:
        name, settings, batch, coupled: as of `Maker`.
        terms: what images are judged by, as of `BatchAdaptation`.
        student: a name of a model, or a module, of which a copy is trained.
        inner, lr_g, lr_z: updates of each batch, and learning rates of copy and latent numbers.
        meta: how the generator learns from the copy; its Adam has a rate of ``inner * lr_g``.
        warmup: batches before the student is trained.
        student_steps, student_lr, student_temperature: of its training, after each batch.
        shift: what teacher and student see of the images.
        latent, width: of the `Generator`.
    """

    name: str
    terms: Callable[[FrozenTeacher], Sequence[Term]]
    student: str | nn.Module
    settings: Mapping[str, Any] = field(default_factory=dict)
    inner: int = 5
    lr_g: float = 5e-3
    lr_z: float = 0.015
    meta: MetaRule = "fomaml"
    warmup: int = 20
    student_steps: int = 400
    student_lr: float = 1e-3
    student_temperature: float = 20.0
    shift: RandomShift | None = None
    batch: int = 256
    latent: int = 256
    width: int = 64
    coupled: bool = True

    def check(self, teacher: FrozenTeacher) -> None:
        """Make the terms and build the student: each says what it misses."""
        self.terms(teacher)
        new_student(self.student, teacher, seed=0)

    def targets(self, teacher: FrozenTeacher, count: int, seed: int) -> Targets:
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
        return one_hot_targets(teacher.classes, count)

    @contextmanager
    def opened(self, teacher: FrozenTeacher, seed: int, work: Path) -> Iterator[MakeBatch]:
        """Make batches, one after the other."""
        batches = _Batches(self, teacher, seed, work)
        try:
            yield batches.make
        finally:
            batches.close()
        batches.state.delete_files()


class _Batches:
    """A synthesis that goes from batch to batch."""

    def __init__(
        self, plan: GeneratorAdaptation, teacher: FrozenTeacher, seed: int, work: Path
    ) -> None:
        self.plan, self.teacher, self.seed = plan, teacher, seed
        generator = new_generator(teacher, seed, latent=plan.latent, width=plan.width)
        meta = MetaGenerator(generator.to(teacher.device), plan.meta, plan.inner * plan.lr_g)
        self.student = StudentTraining(
            teacher, new_student(plan.student, teacher, seed), plan.shift,
            steps=plan.student_steps, lr=plan.student_lr, temperature=plan.student_temperature,
            batch_size=plan.batch,
        )  # fmt: skip
        terms = plan.terms(teacher)
        self.adaptation = BatchAdaptation(
            teacher, meta, self.student.module, terms, plan.shift,
            latent=plan.latent, steps=plan.inner, lr_g=plan.lr_g, lr_z=plan.lr_z,
        )  # fmt: skip
        self.averages = [term.loss for term in terms if isinstance(term.loss, MovingNormDistance)]
        self.state = AdaptationState(
            work, plan.name, meta, self.student, self.averages, teacher.device
        )

    def make(self, request: Request) -> ImageBatch:
        """One batch; when it is given, what the next one needs is in the work folder."""
        self.state.restore(request)
        first, count = request.first, len(request.rows)
        number = first // self.plan.batch
        with seeded(self.seed, "batch", first):
            images = self._adapt(request, number).float().contiguous()
        for average in self.averages:
            average.update_averages()
        self.student.bank.add(images.cpu())
        if number >= self.plan.warmup:
            with seeded(self.seed, STUDENT, first):
                self.student.run()
        self.state.save(first + count)
        return ImageBatch(images, torch.full((count,), self.plan.inner))

    def _adapt(self, request: Request, number: int) -> Tensor:
        device = self.teacher.device
        latent = gaussian_noise(self.seed, request.rows.to(device), [self.plan.latent])
        targets = request.targets or one_hot_targets(self.teacher.classes, len(latent))
        return self.adaptation.make(latent, targets.probabilities.to(device), number=number)

    def close(self) -> None:
        """Leave no hook behind."""
        self.adaptation.close()
        self.student.close()


@checked
def fast_dfkd(
    *,
    student: str | nn.Module,
    inner: Count = 5,
    meta: MetaRule = "fomaml",
    lr_g: Positive = 5e-3,
    lr_z: Positive = 0.015,
    bn: Weight = 10.0,
    bn_momentum: Annotated[float, Ge(0), Le(0.999)] = 0.9,
    oh: Weight = 0.4,
    adv: Weight = 1.1,
    warmup: Annotated[int, Ge(0)] = 20,
    student_steps: Count = 400,
    student_lr: Positive = 1e-3,
    temperature: Positive = 20.0,
    shift: bool = True,
    flip: bool = True,
    batch: Count = 256,
    latent: Width = 256,
    width: Width = 64,
) -> GeneratorAdaptation:
    """Fast-DFKD: a generator adapted to each batch in a few steps, and learning from each.

    A copy G' of the generator and latent numbers z learn together, ``x = G'(z)``::

        bn * sum_l (|mu_l - mu| + |var_l - var|) + oh * CE(T(x), k)
            - adv * [argmax S(x) = argmax T(x)] * KL(T(x) || S(x))

    then the generator learns from the copy, and the student S from T on all images so far.

    Args:
        student: a model by name, or a module. Trained along, and kept beside the images.
        inner: steps of a batch. 5: of the paper's 2, 5 and 10.
        meta: 'fomaml' (the sum of the gradients of these steps) or 'reptile' (the way that the
            copy went). 'fomaml': the code.
        lr_g: of the copy; the generator's Adam has ``inner * lr_g``, as in the code. 5e-3: the code
            with 2 steps; with 5 it takes 3e-3, with 10 2e-3.
        lr_z: of the latent numbers. 0.015: the code with 2 steps; with 5 or 10 it takes 0.01.
        bn: of the batch-norm statistics; 0 for teachers without. 10: the code.
        bn_momentum: see `MovingNormDistance`. 0.9: the code.
        oh: of the cross-entropy with the class asked for. 0.4: the code for a WRN-40-2.
        adv: see `adversarial_kl`; 0 to leave the student out of it. 1.1: the code for a WRN-40-2.
        warmup: batches before the student is trained and ``adv`` counts. 20: the code.
        student_steps: of the student after each batch. 400: the code.
        student_lr: Adam of the student. PyTorch's default.
        temperature: of the student's KL. 20: the code.
        shift, flip: as of `deep_inversion`.
        batch: images that are made together, and images of a student's step. 256: the code.
        latent, width: of the `Generator`. 256 and 64: the code.

    Raises:
        RecipeError: bn, oh and adv are all 0.

    Paper: Fang et al., "Up to 100x Faster Data-Free Knowledge Distillation", AAAI 2022.

    Differs from the authors' code: the images of a batch are those after the last step, not of the
        step with the lowest loss; classes in turn, not drawn; the whole batch is shifted alike; the
        generator's first layer is not reset half way; Reptile's gradient is not multiplied by 67
        (Adam divides it away); the student learns with Adam, not SGD with a cosine.

    >>> fast_dfkd(student="lenet5_half").settings["inner"]
    5
    """
    if not bn and not oh and not adv:
        raise RecipeError(
            "synthesis 'fast_dfkd'", ["bn, oh and adv are 0: nothing judges an image; raise one"]
        )

    def terms(teacher: FrozenTeacher) -> list[Term]:
        return _terms(teacher, bn=bn, momentum=bn_momentum, oh=oh, adv=adv, warmup=warmup)

    settings = {"student": student_identity(student), "inner": inner, "meta": meta, "lr_g": lr_g,
                "lr_z": lr_z, "bn": bn, "bn_momentum": bn_momentum, "oh": oh, "adv": adv,
                "warmup": warmup, "student_steps": student_steps, "student_lr": student_lr,
                "temperature": temperature, "shift": shift, "flip": flip, "latent": latent,
                "width": width}  # fmt: skip
    return GeneratorAdaptation(
        "fast_dfkd",
        terms,
        student,
        settings,
        inner=inner,
        lr_g=lr_g,
        lr_z=lr_z,
        meta=meta,
        warmup=warmup,
        student_steps=student_steps,
        student_lr=student_lr,
        student_temperature=temperature,
        shift=RandomShift(flip=flip) if shift else None,
        batch=batch,
        latent=latent,
        width=width,
    )


def _terms(
    teacher: FrozenTeacher, *, bn: float, momentum: float, oh: float, adv: float, warmup: int
) -> list[Term]:
    found: list[Term] = []
    if bn:
        distance = partial(MovingNormDistance, momentum=momentum)
        found.append(norm_term(teacher.norms(), weight=bn, distance=distance))
    if oh:
        reads = ["teacher.logits", "target"]
        found.append(Term("oh", soft_cross_entropy, reads, weight=oh, options={"temperature": 1.0}))
    if adv:
        # The epoch of an adaptation is the number of its batch.
        def weight(batch: float) -> float:
            return adv if batch >= warmup else 0.0

        reads = ["student.logits", "teacher.logits"]
        found.append(Term("adv", adversarial_kl, reads, weight=weight, through=True))
    return found
