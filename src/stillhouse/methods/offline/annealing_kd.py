"""Annealing KD: first the teacher's logits, small ones growing to their size; then the labels."""

from collections.abc import Callable
from typing import Annotated

from annotated_types import Ge, Le
from torch import Tensor, nn

from stillhouse.engine.nodes import Node, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import OverTraining, Term
from stillhouse.functional import mse
from stillhouse.methods.roles import as_teacher, label_term
from stillhouse.methods.settings import Share, Weight, checked

Steps = Annotated[int, Ge(1), Le(1_000_000)]


@checked
def annealing_kd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    steps: Steps = 10,
    first: Share = 2 / 3,
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """Annealing KD: a teacher whose logits grow in steps, then the labels and no teacher.

    ::

        in the first share of the training:  weight * mean_c (z_s,c - Phi z_t,c)^2
        in the rest:                         label_weight * CE(p_s, y)

    Phi rises in equal steps, ``1/steps, 2/steps, ... 1``. As Phi is a number, the first stage is
    two terms whose weights follow the training, equal to it but for a constant in the student::

        (z_s - Phi z_t)^2 = Phi (z_s - z_t)^2 + (1 - Phi) z_s^2 - Phi (1 - Phi) z_t^2

    Args:
        student: the learner; any classifier.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.logits'.
        steps: of Phi. 10: the released CIFAR code (there the largest temperature).
        first: share of the training with the teacher, in 0..1. 2/3: the released CIFAR code, 200 of
            300 epochs. 1: the teacher's logits and never the labels.
        weight: of the first stage. 1.0: the released code.
        label_weight: of the second. 1.0: the same.

    Returns:
        A stage that keeps the student. Of the two stages only one has weights above 0 at a time,
        so that the metrics show the other's terms too.

    Raises:
        RecipeError: a setting is out of its range.

    Paper: Jafari et al. 2021, arXiv 2104.07163: "Annealing Knowledge Distillation".

    Differs from the authors' code: there the second stage begins anew, with a new optimiser, the
        first learning rate and the student of the best test epoch; here both are one training with
        one schedule, and the student goes on as it is.

    >>> stage = annealing_kd(nn.Linear(4, 2), nn.Linear(4, 2), steps=4, first=0.5)
    >>> [[term.weight_at(epoch, 80) for term in stage.terms()] for epoch in (0, 35, 40)]
    [[0.0, 0.25, 0.75], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    phi = annealing(steps, first)
    logits = "student.logits"
    return Stage(
        "annealing_kd",
        nodes=[Role("student", student), as_teacher(teacher)],
        updates=[
            Update(
                learns="student",
                terms=[
                    label_term(
                        OverTraining(lambda share: label_weight * (phi(share) is None)),
                        logits=logits,
                    ),
                    Term(
                        "logits",
                        mse,
                        [logits, "teacher.logits"],
                        weight=OverTraining(lambda share: weight * (phi(share) or 0.0)),
                        bound=True,
                    ),
                    Term(
                        "size",
                        mean_square,
                        [logits],
                        weight=OverTraining(lambda share: weight * (1 - (phi(share) or 1.0))),
                        bound=True,
                    ),
                ],
            )
        ],
    )


def annealing(steps: int, first: float) -> Callable[[float], float | None]:
    """Phi at a share of the training: ``k / steps`` in the k-th part of the first stage, then None.

    >>> phi = annealing(4, 0.8)
    >>> phi(0.0), phi(0.5), phi(0.79), phi(0.8)
    (0.25, 0.75, 1.0, None)
    """

    def at(share: float) -> float | None:
        if share >= first and first < 1:
            return None
        # A share is a quotient: what is meant to be 3/10 may be a rounding below it.
        return min(int(share / first * steps + 1e-9) + 1, steps) / steps

    return at


def mean_square(student: Tensor) -> Tensor:
    """How large the logits are: ``mean_c z_c^2``, one value per example.

    >>> import torch
    >>> mean_square(torch.tensor([[1.0, 3.0]])).item()
    5.0
    """
    return student.float().square().mean(1)
