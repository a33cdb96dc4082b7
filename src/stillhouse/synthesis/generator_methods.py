"""DAFL and DFAD: images of a generator that is trained in turns with a student."""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from stillhouse.engine.stage import Update
from stillhouse.engine.terms import Term
from stillhouse.functional import kl
from stillhouse.methods.settings import Count, Positive, Weight, Width, checked
from stillhouse.synthesis.generator_training import (
    GeneratorTraining,
    generator_update,
    student_update,
)
from stillhouse.synthesis.priors import gap, imbalance, inactivity, norm_term, one_hot
from stillhouse.synthesis.teacher import FrozenTeacher


@checked
def dafl(
    *,
    student: str | nn.Module,
    steps: Count = 2000,
    lr: Positive = 1e-3,
    student_lr: Positive = 1e-3,
    one_hot_weight: Weight = 1.0,
    activation: Weight = 1e-3,
    balance: Weight = 20.0,
    bn: Weight = 0.0,
    batch_size: Count = 256,
    latent: Width = 256,
    width: Width = 64,
    snapshots: Annotated[int, Ge(1)] = 1,
) -> GeneratorTraining:
    """DAFL: a generator of images that the teacher is sure of, excites it, and in all classes.

    ``one_hot_weight * CE(T(x), argmax T(x)) - activation * |f(x)| + balance * sum_c m_c log m_c``,
    in turns with a student that learns ``KL(T(x), S(x))`` on the same generator's images.

    Args:
        student: a model by name, or a module.
        steps: of both; the paper's 200 epochs of MNIST are 23,400 batches of 512.
        lr: Adam of the generator. 1e-3: the CMI benchmark code.
        student_lr: Adam of the student. PyTorch's default.
        one_hot_weight, activation, balance: 1, 1e-3 and 20: the CMI benchmark code.
        bn: of the batch-norm statistics, which the paper does not have.
        batch_size: images of a step.
        latent, width: of the generator.
        snapshots: of the generator, over the second half of its training; the images are drawn from
            them in turn. 1: the generator at the end.

    Paper: Chen et al., "Data-Free Learning of Student Networks", ICCV 2019.

    Differs from the authors' code: a transfer set is drawn from the trained generator, or from
        snapshots of it; there the student of the run itself is the result (here it is kept beside).

    >>> dafl(student="lenet5_half").settings["balance"]
    20.0
    """

    def updates(teacher: FrozenTeacher) -> list[Update]:
        teacher.head_weight()  # the embedding is the input of the head: say now if there is none
        terms = [
            Term("one_hot", one_hot, ["teacher.logits"], weight=one_hot_weight),
            Term("activation", inactivity, ["teacher.embedding"], weight=activation),
            Term("balance", imbalance, ["teacher.logits"], weight=balance),
        ]
        if bn:
            terms.append(norm_term(teacher.norms(), weight=bn))
        reads = ["student.logits", "teacher.logits"]
        learn = [Term("kd", kl, reads, options={"temperature": 1.0})]
        return [generator_update(terms, lr), student_update(learn, student_lr)]

    own = {"one_hot_weight": one_hot_weight, "activation": activation, "balance": balance, "bn": bn,
           "lr": lr, "student_lr": student_lr}  # fmt: skip
    return GeneratorTraining(
        "dafl", updates, student, own, steps, batch_size, latent, width, snapshots
    )


LOGITS = ["student.logits", "teacher.logits"]


@checked
def dfad(
    *,
    student: str | nn.Module,
    steps: Count = 2000,
    every: Annotated[int, Ge(1)] = 5,
    lr: Positive = 1e-3,
    student_lr: Positive = 1e-3,
    batch_size: Count = 256,
    latent: Width = 256,
    width: Width = 64,
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
