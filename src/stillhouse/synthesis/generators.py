"""Methods with a generator: DAFL asks for images the teacher is sure of, DFAD for hard ones."""

from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor, nn

from stillhouse.engine.stage import Update
from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError
from stillhouse.functional import kl
from stillhouse.methods.settings import Positive, Weight, checked
from stillhouse.synthesis.generated import MADE, STUDENT, Generated, student_identity, update
from stillhouse.synthesis.priors import NormDistance, gap, imbalance, inactivity, one_hot
from stillhouse.synthesis.subject import Subject

LOGITS = ["student.logits", "teacher.logits"]


@checked
def dafl(
    *,
    student: str | nn.Module,
    steps: int = 2000,
    lr: Positive = 1e-3,
    student_lr: Positive = 1e-3,
    one_hot_weight: Weight = 1.0,
    activation: Weight = 1e-3,
    balance: Weight = 20.0,
    bn: Weight = 0.0,
    batch_size: int = 256,
    latent: int = 256,
    width: int = 64,
    snapshots: Annotated[int, Ge(1)] = 1,
) -> Generated:
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

    def updates(subject: Subject) -> list[Update]:
        subject.head_weight()  # the embedding is the input of the head: say now if there is none
        terms = [
            Term("one_hot", one_hot, ["teacher.logits"], weight=one_hot_weight),
            Term("activation", inactivity, ["teacher.embedding"], weight=activation),
            Term("balance", imbalance, ["teacher.logits"], weight=balance),
        ]
        if bn:
            paths, layers = zip(*subject.norms(), strict=True)
            reads = [f"teacher.{path}:in" for path in paths]
            terms.append(Term("bn", NormDistance(layers), reads, weight=bn, through=True))
        learn = [Term("kd", kl, LOGITS, options={"temperature": 1.0})]
        return [
            update("generator", MADE, terms, lr),
            update("student", STUDENT, learn, student_lr),
        ]

    own = {"one_hot_weight": one_hot_weight, "activation": activation, "balance": balance, "bn": bn}
    return _generated("dafl", updates, student, steps, own, lr, student_lr, batch_size, latent, width,
                      snapshots)  # fmt: skip


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
) -> Generated:
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

    def updates(_subject: Subject) -> list[Update]:
        apart = Term("apart", _negative_gap, LOGITS, through=True)
        return [
            update("student", STUDENT, [Term("gap", gap, LOGITS)], student_lr),
            update("generator", MADE, [apart], lr, every=every),
        ]

    own = {"every": every}
    return _generated("dfad", updates, student, steps, own, lr, student_lr, batch_size, latent, width,
                      snapshots)  # fmt: skip


def _negative_gap(student: Tensor, teacher: Tensor) -> Tensor:
    return -gap(student, teacher)


def _generated(
    name: str,
    updates: Any,
    student: str | nn.Module,
    steps: int,
    own: dict[str, Any],
    lr: float,
    student_lr: float,
    batch_size: int,
    latent: int,
    width: int,
    snapshots: int,
) -> Generated:
    """What both share."""
    if snapshots > 1 and 2 * snapshots > steps:
        raise RecipeError(
            f"synthesis '{name}'",
            [f"the second half of {steps} steps has no {snapshots} snapshots; ask for fewer"],
        )
    settings = {**own, "student": student_identity(student), "steps": steps, "lr": lr,
                "student_lr": student_lr, "batch_size": batch_size, "latent": latent,
                "width": width}  # fmt: skip
    if snapshots > 1:  # not written for one, so that what was begun before goes on
        settings["snapshots"] = snapshots
    return Generated(name, updates, student, steps, settings, batch_size, latent, width, snapshots)
