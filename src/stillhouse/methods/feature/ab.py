"""Activation boundaries: which units are active is what the student learns first."""

from torch import nn

from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import boundary_gap
from stillhouse.methods.maps import connector, plain_map, signals_of, with_more
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.schedules import STAGE_ONE, afterwards, at_first
from stillhouse.methods.settings import Positive, Share, Weight, checked
from stillhouse.pairing import Pair, Pairs, before_relu, paired

SCALE = 3 / 1000
"""Of the last pair, in the benchmark of CRD, beside the sum over the elements of a map."""


@checked
def ab(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    weight: Weight = 1.0,
    margin: Positive = 1.0,
    label_weight: Weight = 1.0,
    init_share: Share = STAGE_ONE,
) -> Stage:
    """Activation boundaries: first the student's units are active where the teacher's are.

    First ``weight * sum_l 0.003 * 2^(l - L) sum_d max(0, m -+ s_d)^2`` over the pairs l = 1..L, the
    sign by whether the teacher's unit is active; then ``label_weight * CE(p_s, y)``. See
    `stillhouse.functional.boundary_gap`. The first phase takes the first share of the training.

    A boundary is a sign, which a map has before its ReLU. Pairs that are found are moved there
    where the ReLU is a module of its own. Elsewhere, and at taps that you name, the map is taken as
    it is: of the teacher it says the same after a ReLU as before, of the student it does not say
    how far below 0 a unit is. Name pre-activations ('layer1.2.relu2:in') where you can.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        pairs: layers that belong together: 'levels' (the last map at each resolution), 'auto' (the
            most similar ones) or taps by name; see `stillhouse.pairing.propose`.
        weight: of all pairs. 1.0: the CIFAR-100 benchmark of CRD, with its 0.003 and a sum over
            elements.
        margin: m > 0. 1.0: the same.
        label_weight: of the cross-entropy. 1.0: the same.
        init_share: the share of the training that is the first phase. 0.125: 30 epochs to 240, as
            in that benchmark, there before them. 0: both terms together, all the time.

    Returns:
        A stage that keeps the student; the bridges 'connected1', ... learn with it where widths or
        sizes differ and are dropped.

    Raises:
        RecipeError: a setting is out of its range.
        ModelError: when layers are paired, a model gives no maps.

    Paper: Heo et al. 2019, arXiv 1811.03233: "Knowledge Transfer via Distillation of Activation
        Boundaries Formed by Hidden Neurons".

    Differs from the authors' code: not compared. Of that benchmark: both phases share one budget
        and one schedule, and the classifier sees weight decay in the first.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> stage = ab(net, net, pairs=(("0", "0"), ("1:in", "1:in")))
    >>> [(term.name, term.weight_at(0.0), term.weight_at(1.0)) for term in stage.terms()]
    [('label', 0.0, 1.0), ('ab1', 0.0015, 0.0), ('ab2', 0.003, 0.0)]
    """
    phases = init_share > 0

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        nodes: list[Node] = []
        terms = []
        for at, pair in enumerate(found, start=1):
            mine, theirs = signals_of(pair)
            nodes.append(Bridge.sized(f"connected{at}", connector, mine, by=[mine, theirs]))
            nodes.append(Bridge(f"target{at}", plain_map, theirs))
            scale = weight * SCALE * 2.0 ** (at - len(found))
            held = at_first(scale, share=init_share) if phases else scale
            reads = [f"connected{at}", f"target{at}"]
            options = {"margin": margin}
            terms.append(
                Term(f"ab{at}", boundary_gap, reads, weight=held, options=options, cropped=True)
            )
        return with_more(stage, nodes=nodes, terms=terms, learns=[t.reads[0] for t in terms])

    label = label_term(afterwards(label_weight, share=init_share) if phases else label_weight)
    nodes = [as_role("student", student), as_teacher(teacher)]
    stage = Stage("ab", nodes, [Update("student", [label])])
    return paired(stage, pairs, add, refine=before_relu)
