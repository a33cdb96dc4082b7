"""LSR: a label that is not quite sure. The control of every method without a teacher."""

from typing import Literal

from torch import nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import smoothed_cross_entropy
from stillhouse.methods.settings import Share, Weight, checked


@checked
def label_smoothing(
    student: nn.Module,
    *,
    smoothing: Share = 0.1,
    off_target: Literal["uniform", "others"] = "uniform",
    label_weight: Weight = 1.0,
) -> Stage:
    """Label smoothing: cross-entropy with a target that keeps ``1 - smoothing`` for the label.

    ``label_weight * -sum_c q(c) log p_s(c)``; q as in `stillhouse.functional`'s
    `smoothed_cross_entropy`.

    Args:
        student: the learner; any classifier.
        smoothing: e in 0..1. 0.1: the LSR baseline of the released Tf-KD code.
        off_target: 'uniform' (the default: equation 1 of the Tf-KD paper, and torch's
            ``label_smoothing``) shares e among all classes, the label too; 'others' (the released
            Tf-KD code) among the other classes, which is 'uniform' at e K/(K-1).
        label_weight: of the whole loss. 1.0. Less than 1 shrinks the loss, not the weight decay:
            with `equivalent_smoothing` that is the control of `tf_kd_reg`; at smoothing 0 it is
            plain training with a smaller loss.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range, or no such off_target.

    Paper: Szegedy et al. 2016, arXiv 1512.00567: "Rethinking the Inception Architecture for
        Computer Vision", section 7.

    Differs from the authors' code: not compared.

    >>> stage = label_smoothing(nn.Linear(4, 2), smoothing=0.16, label_weight=0.0595)
    >>> [(term.name, term.weight, term.options) for term in stage.terms()]
    [('label', 0.0595, {'smoothing': 0.16, 'off_target': 'uniform'})]
    """
    return Stage(
        "label_smoothing",
        nodes=[Role("student", student)],
        updates=[
            Update(
                "student",
                [
                    Term(
                        "label",
                        smoothed_cross_entropy,
                        ["student.logits", "batch.label"],
                        weight=label_weight,
                        options={"smoothing": smoothing, "off_target": off_target},
                        mixes=True,
                    )
                ],
            )
        ],
    )
