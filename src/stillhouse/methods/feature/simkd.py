"""SimKD: the student's last map becomes the teacher's, and the teacher's classifier judges it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

from annotated_types import Ge, Le
from torch import nn

from stillhouse.bridges.inference import TailModel
from stillhouse.bridges.maps import PositionMean, at_smaller_size, bottleneck
from stillhouse.engine.facts import Facts
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional import mse
from stillhouse.methods.roles import as_role, as_teacher_role
from stillhouse.methods.settings import Weight, checked
from stillhouse.pairing import Pair, check_pooled, check_rectified, with_last_maps

SHARED = "teacher_head"
INFERENCE = "teacher head"


@checked
def simkd(
    student: nn.Module,
    teacher: nn.Module | Role,
    *,
    weight: Weight = 1.0,
    factor: Annotated[int, Ge(1), Le(1024)] = 2,
    relu: bool = True,
    student_feature: str | None = None,
    teacher_feature: str | None = None,
    head: str | None = None,
) -> Stage:
    """SimKD: ``weight * mean (r(f_s) - f_t)^2`` on the last maps, and nothing else.

    No labels and no logits are learnt from. What answers is the teacher's classifier W_t on the
    average of the projected map: ``W_t mean_hw r(f_s)``. The projector r (1x1, 3x3 and 1x1
    convolutions, each with batch norm and ReLU) belongs to the result: it is what the student pays.

    Args:
        student: the learner; its own head is not trained and not measured.
        teacher: frozen; a model, or a Role called 'teacher'.
        weight: of the squared error, a mean over channels and positions. 1.0: the released code.
        factor: by which the hidden layers of r are narrower than the teacher's map. 2: the same.
        relu: whether r ends in a ReLU. True: the same; False for teachers whose last map has
            values below 0.
        student_feature, teacher_feature: taps of the last maps; found when not named. The teacher's
            head must read the average of the teacher's; this is tried once data are there.
        head: path of the teacher's classifier; found when not named.

    Returns:
        A stage whose one measure, and product, is 'teacher head': student, projector and teacher's
        classifier as one model. It keeps the student, too, which by itself has an untrained head.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: the teacher's role has another name, or a head is named for a role; when it is
            completed, the head reads something else, or the teacher's map has values below 0.
        ModelError: the teacher has no Linear that could be its head, and none is named.

    Paper: Chen et al. 2022, arXiv 2203.14001: "Knowledge Distillation with the Reused Teacher
        Classifier".

    Differs from the authors' code: widths that factor does not divide are rounded down. There, too,
        the larger of two maps is averaged to the size of the smaller one.

    >>> nets = [nn.Sequential(nn.Conv2d(3, width, 3), nn.Linear(width, 2)) for width in (4, 6)]
    >>> stage = simkd(*nets, student_feature="0", teacher_feature="0")
    >>> [(term.name, term.weight) for term in stage.terms()], stage.measures
    ([('feature', 1.0)], {'teacher head': 'teacher_head'})
    """
    role = as_teacher_role("simkd", teacher, head)

    def add(stage: Stage, pair: Pair) -> Stage:
        both = [f"student.{pair[0]}", f"teacher.{pair[1]}"]
        shape = partial(bottleneck, factor=factor, relu=relu)
        projected = Bridge.sized("projected", shape, both[0], by=both)
        nodes = [
            *stage.nodes,
            projected,
            Bridge.sized("target", at_smaller_size, both[1], by=both),
            Bridge("pooled", PositionMean(), "projected"),
            Bridge(SHARED, role.head_module(), "pooled"),
        ]
        terms = [Term("feature", mse, ["projected", "target"], weight=weight)]
        return replace(
            stage,
            nodes=nodes,
            updates=[Update(["student", "projected"], terms)],
            products=_products(stage.role("student"), pair[0], projected, role),
            complete=partial(_check, part=pair[1], relu=relu),
        )

    start = Stage(
        "simkd",
        nodes=[as_role("student", student), role],
        updates=[Update("student", [])],
        measures={INFERENCE: SHARED},
        notes={"inference": "the student's last map, the projector, the teacher's classifier"},
    )
    return with_last_maps(start, (student_feature, teacher_feature), add)


def _check(stage: Stage, facts: Facts, *, part: str, relu: bool) -> Stage:
    check_pooled(stage, part, facts)
    if relu:
        check_rectified(stage, part, facts)
    return stage


def _products(
    student: Role, part: str, projected: Bridge, teacher: Role
) -> Mapping[str, Callable[[], nn.Module]]:
    """The one inference: a model by itself."""

    def whole() -> nn.Module:
        tap = student.tap_of(part)
        if projected.module is None or tap is None:
            raise WiringError("simkd", ["the bridge 'projected' was not sized yet; train it first"])
        tail = nn.Sequential(projected.module, PositionMean(), teacher.head_module())
        return TailModel(student.module, tap, tail)

    return {INFERENCE: whole}
