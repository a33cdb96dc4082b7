"""CC as its paper has it: correlations of examples by a Gaussian kernel are the teacher's."""

from typing import Annotated

from annotated_types import Ge, Le
from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional import correlation_gap
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Positive, Weight, checked

Order = Annotated[int, Ge(1), Le(20)]


@checked
def cc_rbf(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    gamma: Positive = 0.4,
    order: Order = 2,
    weight: Weight = 100.0,
    label_weight: Weight = 1.0,
    student_feature: str = EMBEDDING,
    teacher_feature: str = EMBEDDING,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Correlation congruence by a Gaussian kernel: correlations of a batch are the teacher's.

    ``label_weight * CE(p_s, y) + weight * mean_ij (k_s(i, j) - k_t(i, j))^2``, with k the Gaussian
    kernel of embeddings of unit length, as a Taylor series in their cosine. Widths may differ.
    Processes and micro-batches do not see each other. `cc_embedded` is the other loss of this name.

    Args:
        student: the learner; its embedding is the input of its head.
        teacher: frozen; a model or a node called 'teacher' that gives the feature.
        gamma: of the kernel, above 0. 0.4: the code of Knowledge-Distillation-Zoo.
        order: the last power of the series, at least 1. 2: the same.
        weight: of `correlation_gap`, a mean over B^2 pairs as there. 100.0: the example script of
            the Zoo (CIFAR-10, resnet110 to resnet20).
        label_weight: of the cross-entropy. 1.0: the code of the Zoo.
        student_feature, teacher_feature: what is compared: 'embedding' (the Zoo), or a tap.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: a head is named for a teacher that comes as a node; or, when the stage is
            wired, a model has no such tap.
        ModelError: no module of that name is there to be the head; or, when the stage is wired,
            none is named and the model has no Linear.

    Paper: Peng et al. 2019, arXiv 1904.01802: "Correlation Congruence for Knowledge Distillation".

    Differs from the authors' code: none was released. The paper adds the KL of soft classes; the
        Zoo and we do not.

    >>> stage = cc_rbf(nn.Linear(4, 2), nn.Linear(6, 2), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('correlation', 100.0)]
    """
    features = [f"student.{student_feature}", f"teacher.{teacher_feature}"]
    return taught(
        "cc_rbf",
        student,
        teacher,
        Term(
            "correlation",
            correlation_gap,
            features,
            weight=weight,
            options={"gamma": gamma, "order": order},
        ),
        label_weight=label_weight,
        heads=(student_head, head),
    )
