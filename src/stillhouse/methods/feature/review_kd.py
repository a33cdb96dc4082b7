"""ReviewKD: what the student's deeper layers made is reviewed beside each of the teacher's maps."""

from dataclasses import replace
from functools import partial

from torch import nn

from stillhouse.bridges.cross_layer import Fusion, reviewer
from stillhouse.bridges.shapes import as_map
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term, ramp
from stillhouse.functional import hierarchical_context
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Weight, checked
from stillhouse.pairing import Pair, Pairs, paired


@checked
def review_kd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    embedding: bool = True,
    weight: Weight = 5.0,
    warmup: Weight = 20.0,
    label_weight: Weight = 1.0,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Knowledge review: each map of the teacher is learnt by that level and all deeper ones.

    ``label_weight * CE(p_s, y) + w(epoch) * sum_l HCL(r_l(u_l), f_tl)``: from deep to shallow,
    ``u_l`` joins the student's map l with ``u_{l+1}`` by attention (`Fusion`), r_l is a 3x3
    convolution with batch norm to the teacher's width, HCL compares maps at several scales
    (`hierarchical_context`), and w grows from 0 to ``weight`` over the first epochs. u and r learn
    with the student and are dropped.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher' that gives the taps of the pairs.
        pairs: taps from the image to the head, ``(("layer2", "layer2"), ...)``, or how they are
            found: 'levels' or 'auto'.
        embedding: whether the inputs of the two heads are the deepest level. True: the released
            code.
        weight: of each level, whose terms are means over a map. It goes with the pair: the authors'
            scripts for CIFAR-100 have 5.0 for resnet32x4 -> resnet8x4 and the wide ResNets, 8 for
            resnet32x4 -> shufflenet_v2, 0.6 for resnet56 -> resnet20, 1 for resnet110 -> resnet32.
        warmup: epochs until the weight is whole. 20.0: the released code (of 240); 0: at once.
        label_weight: of the cross-entropy. 1.0: the same.
        student_head, head: paths of the classifiers, for the embeddings; found when not named.

    Returns:
        A stage that keeps the student; the bridges 'fused1', 'reviewed1', ... learn with it.

    Raises:
        RecipeError: a setting is out of its range, or no pair is named.
        WiringError: a head is named for a teacher that comes as a node; when it is completed, the
            layers of a teacher cache are to be found.

    Paper: Chen et al. 2021, arXiv 2104.09044: "Distilling Knowledge via Knowledge Review".

    Differs from the authors' code: there the teacher's maps (and of some students) are tapped
        before the last ReLU; here as the pairs say, which are after it unless they are named. The
        weight grows with the fractional epoch, there once per epoch.

    >>> nets = [nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU()) for width in (4, 6)]
    >>> stage = review_kd(*nets, pairs=(("0", "0"), ("1", "1")), embedding=False)
    >>> [(term.name, term.weight_at(10.0)) for term in stage.terms()]
    [('label', 1.0), ('review1', 2.5), ('review2', 2.5)]
    """

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        whole = (*found, (EMBEDDING, EMBEDDING)) if embedding else found
        nodes = [node for number in range(len(whole), 0, -1) for node in _level(whole, number)]
        terms = [_review(number + 1, weight, warmup) for number in range(len(whole))]
        learns = [node.name for node in nodes if not node.name.startswith("theirs")]
        update = Update(["student", *learns], [label_term(label_weight), *terms])
        return replace(stage, nodes=[*stage.nodes, *nodes], updates=[update])

    nodes = [as_role("student", student, student_head), as_teacher(teacher, head)]
    return paired(Stage("review_kd", nodes, [Update("student", [])]), pairs, add)


def _level(pairs: tuple[Pair, ...], number: int) -> list[Bridge]:
    """The bridges of one level; the deepest has nothing to fuse with."""
    mine, theirs = (f"student.{pairs[number - 1][0]}", f"teacher.{pairs[number - 1][1]}")
    deepest = number == len(pairs)
    fused = f"fused{number}"
    reads = [mine] if deepest else [mine, f"fused{number + 1}"]
    by = [mine, theirs, f"student.{pairs[-1][0]}"]
    return [
        Bridge.sized(fused, partial(Fusion, fuse=not deepest), reads, by=by),
        Bridge.sized(f"reviewed{number}", reviewer, fused, by=[fused, theirs]),
        Bridge(f"theirs{number}", as_map, theirs),
    ]


def _review(number: int, weight: float, warmup: float) -> Term:
    reads = [f"reviewed{number}", f"theirs{number}"]
    return Term(f"review{number}", hierarchical_context, reads, weight=ramp(weight, epochs=warmup),
                cropped=True)  # fmt: skip
