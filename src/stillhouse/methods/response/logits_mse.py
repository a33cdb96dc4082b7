"""Logit regression: the student's scores are to be the teacher's, before any softmax."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional import mse
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Weight, checked


@checked
def logits_mse(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    weight: Weight = 1.0,
    label_weight: Weight = 0.0,
) -> Stage:
    """Logit regression: the squared distance of the logits, with no softmax between.

    ``label_weight * CE(p_s, y) + weight * mean_c (z_s,c - z_t,c)^2``

    It is what `kd` becomes at a high temperature, up to a factor and the mean of the logits, which
    a softmax does not see and this loss does.

    Args:
        student: the learner; any classifier.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.logits'.
        weight: of the mean squared error over examples and classes. 1.0 is our choice: the paper
            has one loss, so its weight is the learning rate. Half of the sum over K classes, the
            paper's form, is ``weight = K / 2``.
        label_weight: of the cross-entropy. 0.0: the paper learns from the logits alone.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.

    Paper: Ba & Caruana 2014, arXiv 1312.6184: "Do Deep Nets Really Need to be Deep?", its
        regression on logits.

    Differs from the authors' code: not compared. The mean over classes in place of half the sum,
        so that a weight means the same for 10 classes and for 1000.

    >>> stage = logits_mse(nn.Linear(4, 2), nn.Linear(4, 2), label_weight=0.5)
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 0.5), ('logits', 1.0)]
    """
    return taught(
        "logits_mse",
        student,
        teacher,
        Term("logits", mse, ["student.logits", "teacher.logits"], weight=weight),
        label_weight=label_weight,
    )
