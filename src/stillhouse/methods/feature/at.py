"""Attention transfer: where the teacher's maps are active, the student's are."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import attention_gap
from stillhouse.methods.maps import compared
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Positive, Weight, checked
from stillhouse.pairing import Pair, Pairs, paired


@checked
def at(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    weight: Weight = 1000.0,
    power: Positive = 2.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """Attention transfer: the student is active at the positions at which the teacher is.

    ``label_weight * CE(p_s, y) + weight * sum_l mean_n (n(q_s)_n - n(q_t)_n)^2`` over the pairs l
    of maps, with ``q = mean_c |x_c|^power`` and n(q) of length 1; see
    `stillhouse.functional.attention_gap`. Widths may differ; of two sizes both get the smaller.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        pairs: layers that belong together: 'levels' (the last map at each resolution), 'auto' (the
            most similar ones) or taps by name; see `stillhouse.pairing.propose`.
        weight: of each pair. 1000.0: the CIFAR-100 benchmark of CRD, with the mean over positions.
        power: above 0. 2.0: the same.
        label_weight: of the cross-entropy. 1.0: the same.

    Returns:
        A stage that keeps the student; nothing is added to it.

    Raises:
        RecipeError: a setting is out of its range.
        ModelError: when layers are paired, a model gives no maps.

    Paper: Zagoruyko & Komodakis 2017, arXiv 1612.03928: "Paying More Attention to Attention:
        Improving the Performance of Convolutional Neural Networks via Attention Transfer".

    Differs from the authors' code: not in the term, a weight times the means over positions (their
        paper has half of sums). There maps pass no interpolation, and KD may be added.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> stage = at(net, net, pairs=(("0", "0"), ("1", "1")))
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('at1', 1000.0), ('at2', 1000.0)]
    """

    def term(name: str, maps: tuple[str, str]) -> Term:
        return Term(
            name, attention_gap, maps, weight=weight, options={"power": power}, cropped=True
        )

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        return compared(stage, found, term, name="at")

    nodes = [as_role("student", student), as_teacher(teacher)]
    return paired(Stage("at", nodes, [Update("student", [label_term(label_weight)])]), pairs, add)
