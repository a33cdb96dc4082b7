"""Hinton distillation."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional import kl
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Positive, Weight, checked


@checked
def kd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    temperature: Positive = 4.0,
    weight: Weight = 0.9,
    label_weight: Weight = 0.1,
) -> Stage:
    """Hinton KD: the student learns the teacher's softened classes beside the labels.

    ``label_weight * CE(p_s, y) + weight * T^2 * KL(p_t^T, p_s^T)``

    Args:
        student: the learner; any classifier.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.logits'.
        temperature: T > 0. 4.0: the CIFAR-100 benchmark of CRD.
        weight: of the KL. 0.9: the same.
        label_weight: of the cross-entropy. 0.1: the same.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.

    Paper: Hinton, Vinyals & Dean 2015, arXiv 1503.02531: "Distilling the Knowledge in a Neural
        Network".

    Differs from the authors' code: none was released.

    >>> stage = kd(nn.Linear(4, 2), nn.Linear(4, 2), temperature=2.0)
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 0.1), ('kd', 0.9)]
    """
    return taught(
        "kd",
        student,
        teacher,
        Term(
            "kd",
            kl,
            ["student.logits", "teacher.logits"],
            weight=weight,
            options={"temperature": temperature},
        ),
        label_weight=label_weight,
    )
