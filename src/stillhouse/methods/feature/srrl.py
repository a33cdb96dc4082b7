"""SRRL: the teacher's classifier, frozen, must find the same in the student's map as in its own."""

from dataclasses import replace
from functools import partial

from torch import nn

from stillhouse.bridges.maps import PositionMean, regressor
from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import mse
from stillhouse.methods.roles import as_role, as_teacher_role, label_term
from stillhouse.methods.settings import Weight, checked
from stillhouse.pairing import Pair, check_rectified, with_last_maps

SHARED = "teacher_head"


@checked
def srrl(
    student: nn.Module,
    teacher: nn.Module | Role,
    *,
    feature_weight: Weight = 1.0,
    regression_weight: Weight = 1.0,
    label_weight: Weight = 1.0,
    relu: bool = True,
    student_feature: str | None = None,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Softmax regression representation learning: alike for the teacher's own classifier.

    ``label_weight * CE(p_s, y) + feature_weight * mean_c (z_c - z_tc)^2 + regression_weight *
    mean_k (W_t z - W_t z_t)_k^2``, where z is the average over positions of ``r(f_s)``, f_s the
    student's last map, r a 1x1 convolution with batch norm and ReLU, z_t the input of the teacher's
    head W_t. r learns with the student and is dropped.

    Args:
        student: the learner.
        teacher: frozen; a model, or a Role called 'teacher'. Its head stays in use when it is
            cached.
        feature_weight: of the squared error of the embeddings, a mean over channels. 1.0: the
            released code.
        regression_weight: of the squared error of the logits, a mean over classes. 1.0: the same;
            another public port has 5.
        label_weight: of the cross-entropy. 1.0: the same.
        relu: whether r ends in a ReLU. True: the same; False for teachers whose head reads values
            below 0.
        student_feature: tap of the student's last map; found when not named.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student; the bridge 'regressed' learns with it.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: the teacher's role has another name, or a head is named for a role; when it is
            completed, the teacher's head reads values below 0 and r ends in a ReLU.
        ModelError: the teacher has no Linear that could be its head, and none is named.

    Paper: Yang et al. 2021, ICLR: "Knowledge Distillation via Softmax Regression Representation
        Learning".

    Differs from the authors' code: the target is what the teacher's head reads, there the average
        of the teacher's last map; in the networks of that code they are the same.

    >>> nets = [nn.Sequential(nn.Conv2d(3, width, 3), nn.Linear(width, 2)) for width in (4, 6)]
    >>> stage = srrl(*nets, student_feature="0", regression_weight=5.0)
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('feature', 1.0), ('regression', 5.0)]
    """
    role = as_teacher_role("srrl", teacher, head)

    def add(stage: Stage, pair: Pair) -> Stage:
        both = [f"student.{pair[0]}", f"teacher.{pair[1]}"]
        nodes = [
            *stage.nodes,
            Bridge.sized("regressed", partial(regressor, relu=relu), both[0], by=both),
            Bridge("pooled", PositionMean(), "regressed"),
            Bridge(SHARED, role.head_module(), "pooled"),
        ]
        terms = [
            label_term(label_weight),
            Term("feature", mse, ["pooled", both[1]], weight=feature_weight),
            Term("regression", mse, [SHARED, "teacher.logits"], weight=regression_weight),
        ]
        updates = [Update(["student", "regressed"], terms)]
        return replace(stage, nodes=nodes, updates=updates, complete=_check if relu else None)

    start = Stage(
        "srrl", [as_role("student", student, student_head), role], [Update("student", [])]
    )
    return with_last_maps(start, (student_feature, EMBEDDING), add)


def _check(stage: Stage, train: Batches) -> Stage:
    check_rectified(stage, EMBEDDING, train)
    return stage
