"""DFAD: a generator of images on which student and teacher differ."""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from stillhouse.engine.stage import Update
from stillhouse.engine.terms import Term
from stillhouse.methods.settings import Positive, checked
from stillhouse.synthesis.generator_training import (
    GeneratorTraining,
    generator_update,
    student_update,
)
from stillhouse.synthesis.priors import gap
from stillhouse.synthesis.teacher import FrozenTeacher

LOGITS = ["student.logits", "teacher.logits"]


@checked
def dfad(
    *,
    student: str | nn.Module,
    steps: int = 2000,
    every: Annotated[int, Ge(1)] = 5,
    lr: Positive = 1e-3,
    student_lr: Positive = 1e-3,
    batch_size: int = 256,
    latent: int = 256,
    width: int = 64,
    snapshots: Annotated[int, Ge(1)] = 1,
) -> GeneratorTraining:
    """DFAD: a generator of images on which student and teacher differ, against that student.

    The student lowers ``mean |S(x) - T(x)|`` in each step, the generator raises it in every fifth.

    Args:
        student: a model by name, or a module.
        steps: of the student.
        every: student steps for one of the generator. 5: paper and code.
        lr: Adam of the generator. 1e-3: the code.
        student_lr: Adam of the student; the code takes SGD at 0.1 (0.01 for MNIST).
        batch_size: 256: the code.
        latent, width: of the generator. 256: the code.
        snapshots: as of `dafl`. At the end the generator knows what is hard for one student; more
            snapshots have seen more of them.

    Paper: Fang et al., "Data-Free Adversarial Distillation", arXiv 1912.11006.

    Differs from the authors' code: a transfer set is drawn from the generator as it is at the end,
        which is hard for that one student, or from snapshots of it; there the student of the run
        is the result (kept beside).

    >>> dfad(student="lenet5_half").settings["every"]
    5
    """

    def updates(_teacher: FrozenTeacher) -> list[Update]:
        nearer = Term("gap", gap, LOGITS)
        apart = Term("apart", _negative_gap, LOGITS, through=True)
        return [student_update([nearer], student_lr), generator_update([apart], lr, every=every)]

    own = {"every": every, "lr": lr, "student_lr": student_lr}
    return GeneratorTraining(
        "dfad", updates, student, own, steps, batch_size, latent, width, snapshots
    )


def _negative_gap(student: Tensor, teacher: Tensor) -> Tensor:
    return -gap(student, teacher)
