"""RKD: how examples stand to each other is what the student learns."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional import rkd_angle, rkd_distance
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Weight, checked


@checked
def rkd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    distance_weight: Weight = 25.0,
    angle_weight: Weight = 50.0,
    label_weight: Weight = 1.0,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Relational KD: distances and angles between the embeddings of a batch are as the teacher's.

    ``label_weight * CE(p_s, y) + distance_weight * RKD-D + angle_weight * RKD-A`` on the inputs of
    the two heads. Their widths may differ: relations have none. A batch is compared with itself (64
    images in the benchmark below); processes and micro-batches do not see each other.

    Args:
        student: the learner; its embedding is the input of its head.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.embedding'.
        distance_weight: of `rkd_distance`. 25.0: the CIFAR-100 benchmark of CRD.
        angle_weight: of `rkd_angle`. 50.0: the same.
        label_weight: of the cross-entropy. 1.0: the same.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: a head is named for a teacher that comes as a node.
        ModelError: no module of that name is there to be the head; or, when the stage is wired,
            none is named and the model has no Linear.

    Paper: Park et al. 2019, arXiv 1904.05068: "Relational Knowledge Distillation".

    Differs from the authors' code: equal embeddings are at distance 0 and give no gradient; see
        `stillhouse.functional.rkd_distance` and `rkd_angle`.

    >>> stage = rkd(nn.Linear(4, 2), nn.Linear(6, 2), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('distance', 25.0), ('angle', 50.0)]
    """
    embeddings = ["student.embedding", "teacher.embedding"]
    return taught(
        "rkd",
        student,
        teacher,
        Term("distance", rkd_distance, embeddings, weight=distance_weight),
        Term("angle", rkd_angle, embeddings, weight=angle_weight),
        label_weight=label_weight,
        heads=(student_head, head),
    )
