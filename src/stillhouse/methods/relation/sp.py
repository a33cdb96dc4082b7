"""SP: which examples excite the same features is what the student learns."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional import similarity_gap
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Weight, checked


@checked
def sp(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    weight: Weight = 3000.0,
    label_weight: Weight = 1.0,
    student_feature: str = EMBEDDING,
    teacher_feature: str = EMBEDDING,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Similarity-preserving KD: examples alike to the teacher are alike to the student.

    ``label_weight * CE(p_s, y) + weight * |G_s - G_t|^2 / B^2``, with G the products ``A A^T`` of
    the features of a batch, each row at unit length. Neither widths nor sizes of maps need agree. A
    batch is compared with itself; processes and micro-batches do not see each other.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher' that gives the feature.
        weight: of `similarity_gap`, which is divided by B^2 as there. 3000.0: the CIFAR-100
            benchmark of CRD.
        label_weight: of the cross-entropy. 1.0: the same.
        student_feature, teacher_feature: what is compared: 'embedding', or a tap. The paper and the
            benchmark take the last feature map, before the pooling ('layer3' of the ResNets for
            CIFAR); 'embedding' is our default, since every classifier has one.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: a head is named for a teacher that comes as a node; or, when the stage is
            wired, a model has no such tap.
        ModelError: no module of that name is there to be the head; or, when the stage is wired,
            none is named and the model has no Linear.

    Paper: Tung & Mori 2019, arXiv 1907.09682: "Similarity-Preserving Knowledge Distillation".

    Differs from the authors' code: none was released by them; against the benchmark of CRD, the
        default feature. Examples without any feature give no gradient.

    >>> stage = sp(nn.Linear(4, 2), nn.Linear(6, 2), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('similarity', 3000.0)]
    """
    features = [f"student.{student_feature}", f"teacher.{teacher_feature}"]
    return taught(
        "sp",
        student,
        teacher,
        Term("similarity", similarity_gap, features, weight=weight),
        label_weight=label_weight,
        heads=(student_head, head),
    )
