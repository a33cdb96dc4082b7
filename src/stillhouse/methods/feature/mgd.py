"""MGD: from its map with channels missing, the student makes the teacher's whole one."""

from dataclasses import replace
from functools import partial

from torch import nn

from stillhouse.bridges.maps import masked_generator
from stillhouse.bridges.shapes import as_map
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import squared_distance
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Share, Weight, checked
from stillhouse.pairing import Pair, with_last_maps


@checked
def mgd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    weight: Weight = 7e-5,
    masked: Share = 0.15,
    label_weight: Weight = 1.0,
    student_feature: str | None = None,
    teacher_feature: str | None = None,
) -> Stage:
    """Masked generative distillation: ``label_weight * CE + weight * |G(mask * A f_s) - f_t|^2``.

    A is a 1x1 convolution to the teacher's width (nothing where widths agree), the mask drops
    channels of each example at random, G is two 3x3 convolutions with a ReLU between. They learn
    with the student and are dropped.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        weight: of the squared error, a sum over channels and positions, so it goes with the size of
            the teacher's map. 7e-5: the released settings for ImageNet (512 x 7 x 7); for CIFAR-100
            a public port has 1.2e-3.
        masked: share of the channels that are dropped, in 0..1. 0.15: the released settings.
        label_weight: of the cross-entropy. 1.0: the same.
        student_feature, teacher_feature: taps of the last maps; found when not named.

    Returns:
        A stage that keeps the student; the bridge 'generated' learns with it.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: when it is completed, a layer of a teacher cache is to be found.

    Paper: Yang et al. 2022, arXiv 2205.01529: "Masked Generative Distillation".

    Differs from the authors' code: a student's map of another size is brought to the teacher's
        (there: refused); the mask is drawn from the generator of the device.

    >>> stage = mgd(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 6, 3), student_feature="", teacher_feature="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('generation', 7e-05)]
    """

    def add(stage: Stage, pair: Pair) -> Stage:
        both = [f"student.{pair[0]}", f"teacher.{pair[1]}"]
        build = partial(masked_generator, share=masked)
        nodes = [
            *stage.nodes,
            Bridge.sized("generated", build, both[0], by=both),
            Bridge("target", as_map, both[1]),
        ]
        gap = Term("generation", squared_distance, ["generated", "target"], weight=weight)
        updates = [Update(["student", "generated"], [label_term(label_weight), gap])]
        return replace(stage, nodes=nodes, updates=updates)

    start = Stage(
        "mgd", [as_role("student", student), as_teacher(teacher)], [Update("student", [])]
    )
    return with_last_maps(start, (student_feature, teacher_feature), add)
