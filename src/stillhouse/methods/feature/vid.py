"""VID: the teacher's maps as a Gaussian around what the student can say of them."""

from dataclasses import replace
from typing import Annotated

from annotated_types import Gt
from torch import Size, nn

from stillhouse.bridges.maps import at_smaller_size, mean_network
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.losses import GaussianNLL
from stillhouse.losses.gaussian import EPSILON
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Weight, checked
from stillhouse.pairing import Pair, Pairs, paired


@checked
def vid(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
    variance: Annotated[float, Gt(EPSILON)] = 5.0,
) -> Stage:
    """Variational information distillation: the teacher's maps are likely, given the student's.

    ``label_weight * CE(p_s, y) + weight * sum_l mean [(mu_l(f_s) - f_t)^2 / v_lc + log v_lc] / 2``:
    a lower bound of the mutual information of two maps, up to a constant. mu is a network of three
    1x1 convolutions, v_lc a variance for each channel of the teacher; both learn beside the student
    and are dropped.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher' that gives the taps of the pairs.
        pairs: taps, ``(("layer2", "layer2"), ...)``, or how they are found: 'levels' or 'auto'.
        weight: of each pair's likelihood, a mean over its values. 1.0: the CIFAR-100 benchmark of
            CRD, where the pairs are the ends of the stages.
        label_weight: of the cross-entropy. 1.0: the same.
        variance: of all channels at the start, above 1e-5. 5.0: the same.

    Returns:
        A stage that keeps the student; the bridges 'mean1', ... and the variances, which belong to
        the terms 'vid1', ..., learn with it.

    Raises:
        RecipeError: a setting is out of its range, or no pair is named.
        WiringError: when it is completed, the layers of a teacher cache are to be found.

    Paper: Ahn et al. 2019, arXiv 1904.05835: "Variational Information Distillation for Knowledge
        Transfer".

    Differs from the authors' code: written from the port in the CIFAR-100 benchmark of CRD. There,
        too, the larger of two maps is averaged to the size of the smaller one. Tokens stand for
        maps, and any two networks pair up.

    >>> nets = nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Conv2d(3, 6, 3))
    >>> stage = vid(*nets, pairs=(("0", "0"),))
    >>> [(term.name, term.reads) for term in stage.terms()][1]
    ('vid1', ('mean1', 'theirs1'))
    """

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        nodes, terms = list(stage.nodes), list(stage.terms())
        for number, (mine, theirs) in enumerate(found, start=1):
            both = [f"student.{mine}", f"teacher.{theirs}"]
            mean, target = f"mean{number}", f"theirs{number}"
            nodes.append(Bridge.sized(mean, mean_network, both[0], by=both))
            nodes.append(Bridge.sized(target, at_smaller_size, both[1], by=both))
            terms.append(
                Term.sized(f"vid{number}", likelihood, [mean, target], weight=weight, cropped=True)
            )
        learns = ["student", *(f"mean{number + 1}" for number in range(len(found)))]
        return replace(stage, nodes=nodes, updates=[Update(learns, terms)])

    def likelihood(_mean: Size, target: Size) -> GaussianNLL:
        return GaussianNLL(target[1], initial=variance)

    nodes = [as_role("student", student), as_teacher(teacher)]
    stage = Stage("vid", nodes, [Update("student", [label_term(label_weight)])])
    return paired(stage, pairs, add)
