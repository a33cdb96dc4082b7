"""MGD: from its map with a part missing, the student makes the teacher's whole one."""

from functools import partial
from typing import Literal

from torch import nn

from stillhouse.bridges.maps import masked_generator
from stillhouse.bridges.shapes import as_map
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError
from stillhouse.functional import squared_distance
from stillhouse.methods.maps import signals_of, with_more
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Share, Weight, checked
from stillhouse.models.detectors import is_detector
from stillhouse.pairing import Pair, Pairs, paired, with_last_maps


@checked
def mgd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    weight: Weight = 7e-5,
    masked: Share = 0.15,
    mask: Literal["channels", "positions"] = "channels",
    label_weight: Weight = 1.0,
    pairs: Pairs | None = None,
    student_feature: str | None = None,
    teacher_feature: str | None = None,
) -> Stage:
    """Masked generative distillation: ``label_weight * CE + weight * |G(mask * A f_s) - f_t|^2``.

    A is a 1x1 convolution to the teacher's width (nothing where widths agree), the mask drops
    channels (or positions) of each example at random, G is two 3x3 convolutions with a ReLU
    between. They learn with the student and are dropped. It is of the last maps; of a detector the
    sum over all levels of its pyramid.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        weight: of the squared error, a sum over channels and positions, so it goes with the size of
            the teacher's map. 7e-5: the released settings for ImageNet (512 x 7 x 7); for CIFAR-100
            a public port has 1.2e-3; for detectors 2e-5 (RetinaNet) and 5e-7 (Faster R-CNN).
        masked: share of what is dropped, in 0..1. 0.15: the released settings for ImageNet; for
            detectors 0.65 (RetinaNet) and 0.45 (Faster R-CNN).
        mask: what is dropped: 'channels' (the released code for ImageNet) or 'positions' (that for
            detectors).
        label_weight: of the cross-entropy. 1.0: the same.
        pairs: layers that belong together, each with a G of its own, in place of the last maps:
            'levels', 'auto' or taps by name, see `stillhouse.pairing.propose`. Of detectors
            'levels' where nothing is said.
        student_feature, teacher_feature: taps of the last maps; found when not named.

    Returns:
        A stage that keeps the student; the bridge 'generated' ('generated1', ... of pairs) learns
        with it.

    Raises:
        RecipeError: a setting is out of its range, or both pairs and a feature are named.
        WiringError: when it is completed, a layer of a teacher cache is to be found.

    Paper: Yang et al. 2022, arXiv 2205.01529: "Masked Generative Distillation".

    Differs from the authors' code: a student's map of another size is brought to the teacher's
        (there: refused); the mask is drawn from the generator of the device.

    >>> stage = mgd(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 6, 3), student_feature="", teacher_feature="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('generation', 7e-05)]
    """
    named = student_feature, teacher_feature
    if pairs is not None and named != (None, None):
        said = "pairs and student_feature or teacher_feature are named; name one of them"
        raise RecipeError("method 'mgd'", [said])
    if named == (None, None) and is_detector(student):
        pairs = pairs or "levels"
    build = partial(masked_generator, share=masked, positions=mask == "positions")

    def one(stage: Stage, pair: Pair, number: str = "") -> Stage:
        mine, theirs = signals_of(pair)
        made, target = f"generated{number}", f"target{number}"
        nodes = [
            Bridge.sized(made, build, mine, by=[mine, theirs]),
            Bridge(target, as_map, theirs),
        ]
        gap = Term(
            f"generation{number}", squared_distance, [made, target], weight=weight, cropped=True
        )
        return with_more(stage, nodes=nodes, terms=[gap], learns=[made])

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        for number, pair in enumerate(found, start=1):
            stage = one(stage, pair, str(number))
        return stage

    nodes = [as_role("student", student), as_teacher(teacher)]
    start = Stage("mgd", nodes, [Update("student", [label_term(label_weight)])])
    return with_last_maps(start, named, one) if pairs is None else paired(start, pairs, add)
