"""PKD: the student's maps rise and fall with the teacher's, whatever their mean and scale."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import pearson_map_gap
from stillhouse.methods.maps import aligned
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Weight, checked
from stillhouse.pairing import Pair, Pairs, paired


@checked
def pkd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    weight: Weight = 10.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """Pearson distillation: ``label_weight * L + weight * sum_l mean (n(s) - n(t))^2 / 2``.

    n gives each channel mean 0 and variance 1 over images and positions, so the gap is one minus
    Pearson's correlation; see `stillhouse.functional.pearson_map_gap`. L is the task's loss: of a
    detector its own. Networks of any families compare.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        pairs: layers that belong together: 'levels' (the last map at each resolution; of a detector
            the levels of its pyramid), 'auto' (the most similar ones) or taps by name; see
            `stillhouse.pairing.propose`.
        weight: of each pair. 10.0: MMRazor's setting from RetinaNet-X101 or FCOS-X101 to RetinaNet;
            6.0 from Faster R-CNN.
        label_weight: of the labelled term. 1.0: the same.

    Returns:
        A stage that keeps the student; the bridges 'aligned1', ... learn with it.

    Raises:
        RecipeError: a setting is out of its range.
        ModelError: when layers are paired, a model gives no maps.

    Paper: Cao et al. 2022, arXiv 2207.02039: "PKD: General Distillation Framework for Object
        Detectors via Pearson Correlation Coefficient".

    Differs from the authors' code: pairs are of one resolution where there are such, there of
        one place in the list; a 1x1 convolution and batch norm come between maps of two widths
        (there: none).

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> stage = pkd(net, net, pairs=(("0", "0"), ("1", "1")))
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('pkd1', 10.0), ('pkd2', 10.0)]
    """

    def term(name: str, maps: tuple[str, str]) -> Term:
        return Term(name, pearson_map_gap, maps, weight=weight, pooled=True, cropped=True)

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        return aligned(stage, found, term, name="pkd")

    nodes = [as_role("student", student), as_teacher(teacher)]
    start = Stage("pkd", nodes, [Update("student", [label_term(label_weight)])])
    return paired(start, pairs, add)
