"""Neuron selectivity transfer: channels select patterns distributed as the teacher's."""

from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import selectivity_gap
from stillhouse.methods.maps import compared
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Weight, checked
from stillhouse.pairing import Pair, Pairs, paired


@checked
def nst(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    weight: Weight = 50.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """Neuron selectivity transfer: channels respond to the patterns that the teacher's respond to.

    ``label_weight * CE(p_s, y) + weight * sum_l MMD_l`` over the pairs l of maps: the squared
    maximum mean discrepancy, with the kernel ``(x . y)^2``, of the channels of the two maps, each a
    vector over positions of length 1; see `stillhouse.functional.selectivity_gap`. Widths may
    differ; of two sizes both maps get the smaller.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        pairs: layers that belong together: 'levels' (the last map at each resolution), 'auto' (the
            most similar ones) or taps by name; see `stillhouse.pairing.propose`.
        weight: of each pair. 50.0: the CIFAR-100 benchmark of CRD, with the mean over the pairs of
            channels, as here.
        label_weight: of the cross-entropy. 1.0: the same.

    Returns:
        A stage that keeps the student; nothing is added to it.

    Raises:
        RecipeError: a setting is out of its range.
        ModelError: when layers are paired, a model gives no maps.

    Paper: Huang & Wang 2017, arXiv 1707.01219: "Like What You Like: Knowledge Distill via Neuron
        Selectivity Transfer".

    Differs from the authors' code: not compared. Of that benchmark: the same value, with the
        smaller of two Gram matrices in place of all products.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> stage = nst(net, net, pairs=(("1", "1"),))
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('nst1', 50.0)]
    """

    def term(name: str, maps: tuple[str, str]) -> Term:
        return Term(name, selectivity_gap, maps, weight=weight, cropped=True)

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        return compared(stage, found, term, name="nst")

    nodes = [as_role("student", student), as_teacher(teacher)]
    return paired(Stage("nst", nodes, [Update("student", [label_term(label_weight)])]), pairs, add)
