"""FSP: how one layer leads to the next is what the student learns."""

from torch import nn

from stillhouse.bridges.cross_layer import flow
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError
from stillhouse.functional import mse
from stillhouse.methods.maps import signals_of, widener, with_more
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.schedules import STAGE_ONE, afterwards, at_first
from stillhouse.methods.settings import Share, Weight, checked
from stillhouse.pairing import Pair, Pairs, paired


@checked
def fsp(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
    init_share: Share = STAGE_ONE,
) -> Stage:
    """Flow of solution procedure: Gram matrices of consecutive layers are as the teacher's.

    First ``weight * sum_l mean_ij (G_s - G_t)^2``, then ``label_weight * CE(p_s, y)``, with ``G_ij
    = mean_n x_i(n) y_j(n)`` of the maps x and y of consecutive pairs of layers; the larger map is
    averaged to the smaller. The first phase takes the first share of the training.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        pairs: layers that belong together, at least two: 'levels' (the last map at each
            resolution), 'auto' (the most similar ones) or taps by name; see
            `stillhouse.pairing.propose`. The benchmark of CRD has the stem before them too.
        weight: of each flow. 1.0: what the first stage in that benchmark's code has. The 50 of its
            scripts is for flows beside labels, which its code leaves out; take it with
            ``init_share: 0``.
        label_weight: of the cross-entropy. 1.0: that benchmark.
        init_share: the share of the training that is the first phase. 0.125: 30 epochs to 240, as
            in that benchmark, there before them. 0: both terms together, all the time.

    Returns:
        A stage that keeps the student; the bridges 'widened1', ... learn with it where widths
        differ and are dropped.

    Raises:
        RecipeError: a setting is out of its range, or there are fewer than two pairs.
        ModelError: when layers are paired, a model gives no maps.

    Paper: Yim et al. 2017, CVPR: "A Gift from Knowledge Distillation: Fast Optimization, Network
        Minimization and Transfer Learning".

    Differs from the authors' code: not compared. Paper and benchmark need equal widths; where they
        differ a 1x1 convolution with batch norm widens the student's maps here, which is ours.
        Both phases share one budget and one schedule; the classifier sees weight decay in the
        first.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> stage = fsp(net, net, pairs=(("0", "0"), ("1", "1")))
    >>> [(term.name, term.weight_at(0.0), term.weight_at(1.0)) for term in stage.terms()]
    [('label', 0.0, 1.0), ('fsp1', 1.0, 0.0)]
    """
    phases = init_share > 0

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        if len(found) < 2:
            said = f"a flow leads from one pair of layers to the next, and there is {len(found)}"
            raise RecipeError("method 'fsp'", [f"{said}; name at least two pairs of taps"])
        scale = at_first(weight, share=init_share) if phases else weight
        both = [signals_of(pair) for pair in found]
        wide = [
            Bridge.sized(f"widened{at}", widener, mine, by=[mine, theirs])
            for at, (mine, theirs) in enumerate(both, start=1)
        ]
        nodes: list[Node] = [*wide]
        terms = []
        for at in range(1, len(found)):
            mine, theirs = f"student_flow{at}", f"teacher_flow{at}"
            nodes.append(Bridge(mine, flow, [wide[at - 1].name, wide[at].name]))
            nodes.append(Bridge(theirs, flow, [both[at - 1][1], both[at][1]]))
            terms.append(Term(f"fsp{at}", mse, [mine, theirs], weight=scale))
        return with_more(stage, nodes=nodes, terms=terms, learns=[node.name for node in wide])

    label = label_term(afterwards(label_weight, share=init_share) if phases else label_weight)
    nodes = [as_role("student", student), as_teacher(teacher)]
    return paired(Stage("fsp", nodes, [Update("student", [label])]), pairs, add)
