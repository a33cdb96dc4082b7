"""DKD: the softened KL in two parts, weighed apart."""

from typing import Annotated

from annotated_types import Ge
from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term, ramp
from stillhouse.functional import decoupled_kl
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Positive, Weight, checked

Epochs = Annotated[float, Ge(0)]


@checked
def dkd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    alpha: Weight = 1.0,
    beta: Weight = 8.0,
    temperature: Positive = 4.0,
    label_weight: Weight = 1.0,
    warmup: Epochs = 20.0,
) -> Stage:
    """Decoupled KD: how sure of the label, and which class else, with a weight each.

    ``label_weight * CE(p_s, y) + min(epoch / warmup, 1) * T^2 (alpha * TCKD + beta * NCKD)``, where
    TCKD is the KL of label against rest and NCKD that among the other classes.

    Args:
        student: the learner; any classifier.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.logits'.
        alpha: of TCKD. 1.0: the authors' CIFAR-100 benchmark, like all defaults here.
        beta: of NCKD. 8.0; the authors chose 2.0 for resnet56 -> resnet20 and resnet110 ->
            resnet32, 6.0 for the pairs of VGG-13 and for wide ResNets of one architecture.
        temperature: T > 0. 4.0.
        label_weight: of the cross-entropy. 1.0.
        warmup: epochs over which both parts grow linearly to their weights. 20.0, of 240 epochs:
            shorten it with the budget. 0: none.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.

    Paper: Zhao et al. 2022, arXiv 2203.08679: "Decoupled Knowledge Distillation".

    Differs from the authors' code: the warm-up moves with each step, in fractions of an epoch from
        0; there the epoch is a whole number. Numerics: see `stillhouse.functional.decoupled_kl`.

    >>> stage = dkd(nn.Linear(4, 3), nn.Linear(4, 3), beta=2.0)
    >>> [(term.name, term.weight_at(5.0)) for term in stage.terms()]
    [('label', 1.0), ('dkd', 0.25)]
    """
    return taught(
        "dkd",
        student,
        teacher,
        Term(
            "dkd",
            decoupled_kl,
            ["student.logits", "teacher.logits", "batch.label"],
            weight=ramp(1.0, epochs=warmup),
            options={"alpha": alpha, "beta": beta, "temperature": temperature},
        ),
        label_weight=label_weight,
    )
