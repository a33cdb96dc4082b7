"""CWD: each channel of the student is active at the positions at which the teacher's is."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import channel_kl
from stillhouse.methods.maps import aligned
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Positive, Weight, checked
from stillhouse.pairing import Pair, Pairs, paired


@checked
def cwd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    weight: Weight = 5.0,
    temperature: Positive = 1.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """CWD: ``label_weight * L + weight * sum_l T^2 / C sum_c KL(p_t || p_s)``.

    p is the softmax of a channel over its positions, at each pair l of maps; see
    `stillhouse.functional.channel_kl`. L is the task's loss: of a detector its own.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        pairs: layers that belong together: 'levels' (the last map at each resolution; of a detector
            the levels of its pyramid), 'auto' (the most similar ones) or taps by name; see
            `stillhouse.pairing.propose`.
        weight: of each pair. 5.0: the authors' settings for RetinaNet, on P3 to P6.
        temperature: T > 0. 1.0: the same.
        label_weight: of the labelled term. 1.0: the same.

    Returns:
        A stage that keeps the student; the bridges 'aligned1', ... learn with it.

    Raises:
        RecipeError: a setting is out of its range.
        ModelError: when layers are paired, a model gives no maps.

    Paper: Shu et al. 2021, arXiv 2011.13256: "Channel-wise Knowledge Distillation for Dense
        Prediction".

    Differs from the authors' code: maps of two widths are no pair there; here a 1x1
        convolution and batch norm come between. All pairs count, there P7 of RetinaNet does not.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> stage = cwd(net, net, pairs=(("0", "0"), ("1", "1")))
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('cwd1', 5.0), ('cwd2', 5.0)]
    """

    def term(name: str, maps: tuple[str, str]) -> Term:
        return Term(
            name,
            channel_kl,
            maps,
            weight=weight,
            options={"temperature": temperature},
            cropped=True,
        )

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        return aligned(stage, found, term, name="cwd")

    nodes = [as_role("student", student), as_teacher(teacher)]
    start = Stage("cwd", nodes, [Update("student", [label_term(label_weight)])])
    return paired(start, pairs, add)
