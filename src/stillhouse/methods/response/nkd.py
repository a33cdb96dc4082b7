"""NKD: as sure of the label as the teacher, and the other classes normalised on their own."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional import normalised_kl
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Positive, Weight, checked


@checked
def nkd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    gamma: Weight = 1.5,
    temperature: Positive = 1.0,
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """Normalised KD: labels, a label as sure as the teacher's, and the other classes apart.

    With n the softmax of ``z / T`` over the classes that are not the label::

        label_weight * CE(p_s, y)
          + weight * (-p_t(y) log p_s(y) + gamma T^2 KL(n_t, n_s))

    Beside `dkd`, which weighs the same two kinds of knowledge: there the first part asks for the
    teacher's probability of the label, here for as much of it as there is, the less strongly the
    less the teacher gives it.

    Args:
        student: the learner; any classifier.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.logits'.
        gamma: of the other classes. 1.5: the authors' ImageNet settings, like all defaults here;
            3.5 with T 3 in their CIFAR-100 setting (ResNet-34 -> ResNet-18).
        temperature: T > 0, of the other classes only. 1.0.
        weight: of both parts together. 1.0.
        label_weight: of the cross-entropy. 1.0.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.

    Paper: Yang et al. 2023, arXiv 2303.13005: "From Knowledge Distillation to Self-Knowledge
        Distillation: A Unified Approach with Normalized Loss and Customized Soft Labels".

    Differs from the authors' code: the value is smaller by the entropy of n_t, the gradient is the
        same; see `stillhouse.functional.normalised_kl`.

    >>> stage = nkd(nn.Linear(4, 3), nn.Linear(4, 3), temperature=2.0)
    >>> [(term.name, term.weight, term.options) for term in stage.terms()]
    [('label', 1.0, {}), ('nkd', 1.0, {'gamma': 1.5, 'temperature': 2.0})]
    """
    return taught(
        "nkd",
        student,
        teacher,
        Term(
            "nkd",
            normalised_kl,
            ["student.logits", "teacher.logits", "batch.label"],
            weight=weight,
            options={"gamma": gamma, "temperature": temperature},
        ),
        label_weight=label_weight,
    )
