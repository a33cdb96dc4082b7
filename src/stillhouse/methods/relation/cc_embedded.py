"""CC as the benchmark of CRD has it: gaps of neighbours in a learned space of both."""

from torch import nn

from stillhouse.bridges.projectors import embedder
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import neighbour_products
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Weight, Width, checked


@checked
def cc_embedded(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    width: Width = 128,
    weight: Weight = 0.02,
    label_weight: Weight = 1.0,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Correlation congruence of embedded gaps: what the benchmark of CRD calls CC.

    ``label_weight * CE(p_s, y) + weight * mean_i sum_d |D_i(d)| |D_{i+1}(d)|``, with ``D = E_s z_s
    - E_t z_t`` and E two linear maps to one width, both learned with the student and dropped at
    inference. Both learn from this loss alone, so maps that send everything to one point would
    serve it: with a large weight they do. `cc_rbf` is the loss of the paper.

    Args:
        student: the learner; its embedding is the input of its head.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.embedding'.
        width: of the space of both, at least 1. 128: the benchmark of CRD.
        weight: of `neighbour_products`, a sum over dimensions as there: it grows with the width.
            0.02: the same.
        label_weight: of the cross-entropy. 1.0: the same.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student; the bridges 'embedded' and 'target' learn with it and are
        dropped.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: a head is named for a teacher that comes as a node.
        ModelError: no module of that name is there to be the head; or, when the stage is wired,
            none is named and the model has no Linear.

    Paper: Peng et al. 2019, arXiv 1904.01802: "Correlation Congruence for Knowledge Distillation";
        the formula is in no equation of it, see `stillhouse.functional.neighbour_products`.

    Differs from the authors' code: in nothing that we know of, the code being RepDistiller's.

    >>> stage = cc_embedded(nn.Linear(4, 2), nn.Linear(6, 2), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('neighbours', 0.02)]
    """
    mine, theirs = "student.embedding", "teacher.embedding"
    return Stage(
        "cc_embedded",
        nodes=[
            as_role("student", student, student_head),
            as_teacher(teacher, head),
            Bridge.sized("embedded", embedder(width), mine, by=mine),
            Bridge.sized("target", embedder(width), theirs, by=theirs),
        ],
        updates=[
            Update(
                learns=["student", "embedded", "target"],
                terms=[
                    label_term(label_weight),
                    Term(
                        "neighbours",
                        neighbour_products,
                        ["embedded", "target"],
                        weight=weight,
                        through=True,
                    ),
                ],
            )
        ],
    )
