"""PKT: who is near whom, as probabilities, is what the student learns."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional import cosine_kernel_kl
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Weight, checked


@checked
def pkt(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    weight: Weight = 30000.0,
    label_weight: Weight = 1.0,
    student_feature: str = EMBEDDING,
    teacher_feature: str = EMBEDDING,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Probabilistic knowledge transfer: how near examples are, as probabilities, is the teacher's.

    ``label_weight * CE(p_s, y) + weight * mean_ij q_t(i, j) log(q_t(i, j) / q_s(i, j))``, with
    q(i, .) the cosine kernel of example i with all examples of the batch, as a distribution. Widths
    may differ. Processes and micro-batches do not see each other.

    Args:
        student: the learner; its embedding is the input of its head.
        teacher: frozen; a model or a node called 'teacher' that gives the feature.
        weight: of `cosine_kernel_kl`, a mean over B^2 pairs as there: it shrinks with the batch, so
            scale the weight with B. 30000.0: the CIFAR-100 benchmark of CRD, at B 64.
        label_weight: of the cross-entropy. 1.0: the same.
        student_feature, teacher_feature: what is compared: 'embedding' (that benchmark), or a tap.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: a head is named for a teacher that comes as a node; or, when the stage is
            wired, a model has no such tap.
        ModelError: no module of that name is there to be the head; or, when the stage is wired,
            none is named and the model has no Linear.

    Paper: Passalis & Tefas 2018, arXiv 1803.10837: "Learning Deep Representations with
        Probabilistic Knowledge Transfer".

    Differs from the authors' code: no eps beside the lengths of embeddings; an embedding of zeros
        has cosine 0 with anything, and no gradient.

    >>> stage = pkt(nn.Linear(4, 2), nn.Linear(6, 2), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('neighbours', 30000.0)]
    """
    features = [f"student.{student_feature}", f"teacher.{teacher_feature}"]
    return taught(
        "pkt",
        student,
        teacher,
        Term("neighbours", cosine_kernel_kl, features, weight=weight),
        label_weight=label_weight,
        heads=(student_head, head),
    )
