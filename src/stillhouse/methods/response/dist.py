"""DIST: the order and proportion of classes, and of examples, in place of their exact values."""

from typing import Literal

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional import inter_class_correlation, intra_class_correlation
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Positive, Weight, checked


@checked
def dist(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    form: Literal["paper", "code"] = "paper",
    inter_weight: Weight = 2.0,
    intra_weight: Weight = 2.0,
    temperature: Positive = 4.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """DIST: probabilities are to correlate with the teacher's, along classes and along the batch.

    ``label_weight * CE(p_s, y) + s (inter_weight * inter + intra_weight * intra)``, with inter the
    mean over examples of ``1 - pearson`` of their classes, intra the mean over classes of ``1 -
    pearson`` of the batch, probabilities at the temperature T, and s as the form says::

        paper: s = 1        code: s = T^2

    A strong teacher is so sure that its exact probabilities are hard to reach; a correlation only
    asks for them up to a shift and a scale. The batch matters: intra compares its examples.

    Args:
        student: the learner; any classifier.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.logits'.
        form: whether T squared multiplies both parts. 'paper' (the default): its appendix has none,
            nor has the released code for segmentation. 'code': the released code for
            classification multiplies by it, 16 at T = 4; which of the two made the published
            numbers is an open question there (issue 19). At T = 1 they are one.
        inter_weight: of the relation between classes. 2.0: the paper (not checked against it); the
            released code has 1, and a weight of the whole beside it.
        intra_weight: of the relation between examples. 2.0: the same.
        temperature: T > 0. 4.0: the paper on CIFAR-100, 1.0 on ImageNet (neither checked).
        label_weight: of the cross-entropy. 1.0: the released code.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range, or no such form.

    Paper: Huang et al. 2022, arXiv 2205.10536: "Knowledge Distillation from A Stronger Teacher".

    Differs from the authors' code: the form 'paper' has no T squared, see there. Numerics: see
        `stillhouse.functional.inter_class_correlation`.

    >>> stage = dist(nn.Linear(4, 2), nn.Linear(4, 2), form="code", inter_weight=1.0)
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('inter', 16.0), ('intra', 32.0)]
    """
    both = ["student.logits", "teacher.logits"]
    scale = temperature**2 if form == "code" else 1.0
    soft = {"temperature": temperature}
    inter, intra = scale * inter_weight, scale * intra_weight
    return taught(
        "dist",
        student,
        teacher,
        Term("inter", inter_class_correlation, both, weight=inter, options=soft),
        Term("intra", intra_class_correlation, both, weight=intra, options=soft),
        label_weight=label_weight,
    )
