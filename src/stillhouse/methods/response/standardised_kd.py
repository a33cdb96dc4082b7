"""KD with logit standardisation: each net softens its logits by their own spread."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional import standardised_kl
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Positive, Weight, checked


@checked
def standardised_kd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    temperature: Positive = 2.0,
    weight: Weight = 9.0,
    label_weight: Weight = 0.1,
) -> Stage:
    """KD of standardised logits: which class before which, and by how many deviations.

    ``label_weight * CE(p_s, y) + weight * T^2 * KL(q_t, q_s)`` with ``q = softmax(z' / T)`` and z'
    the logits of an example less their mean, divided by their standard deviation. So the student
    need not reach the size of the teacher's logits, and the labels alone decide its own: with
    their small weight it may end less sure than a plain one.

    Args:
        student: the learner; any classifier.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.logits'.
        temperature: T > 0, of logits of variance 1. 2.0: the authors' CIFAR-100 command for KD.
        weight: of the KL. 9.0: the same; of 0.9, 3, 6, 9 and 12 their best at resnet32x4 ->
            resnet8x4.
        label_weight: of the cross-entropy. 0.1: the same.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.

    Paper: Sun et al. 2024, arXiv 2403.01427: "Logit Standardization in Knowledge Distillation".

    Differs from the authors' code: equal logits give no gradient; see
        `stillhouse.functional.standardised_kl`.

    >>> stage = standardised_kd(nn.Linear(4, 3), nn.Linear(4, 3))
    >>> [(term.name, term.weight, term.options) for term in stage.terms()]
    [('label', 0.1, {}), ('kd', 9.0, {'temperature': 2.0})]
    """
    return taught(
        "standardised_kd",
        student,
        teacher,
        Term(
            "kd",
            standardised_kl,
            ["student.logits", "teacher.logits"],
            weight=weight,
            options={"temperature": temperature},
        ),
        label_weight=label_weight,
    )
