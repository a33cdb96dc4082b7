"""IRG: the graph of a batch at several layers, and how it changes between them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from torch import nn

from stillhouse.bridges.cross_layer import layer_shift
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import edge_gap, mse, shift_gap
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Weight, checked
from stillhouse.pairing import Pair, Pairs, paired


@checked
def irg(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    vertex_weight: Weight = 0.1,
    edge_weight: Weight = 5.0,
    shift_weight: Weight = 5.0,
    label_weight: Weight = 1.0,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Instance relationship graphs: vertices, edges, and moves between layers are the teacher's.

    ``label_weight * CE(p_s, y) + vertex_weight * MSE(z_s, z_t) + edge_weight * mean_l edge_gap_l +
    shift_weight * mean_l shift_gap_l``: the vertices are the logits; the edges are those of the
    layers of the pairs and of the embedding; the shifts go from each layer to the next one. Widths
    may differ, but for the classes. Processes and micro-batches do not see each other.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher' that gives its logits, embedding and the
            taps of the pairs (which are then named).
        pairs: taps that belong together, ``[[student, teacher], ...]`` from the image to the head,
            or how they are found: 'levels' (the last map at each resolution; our default) or
            'auto'; see `stillhouse.pairing.propose`. A single pair has no shift.
        vertex_weight: of the mean squared gap of logits, a mean over classes too. 0.1: the code of
            Knowledge-Distillation-Zoo. 0 leaves them out: no teacher logits are needed.
        edge_weight: of the mean of `edge_gap` over layers and embedding. 5.0: the same.
        shift_weight: of the mean of `shift_gap` over steps between layers. 5.0: the same.
        label_weight: of the cross-entropy. 1.0: the same.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range, or no such way to find pairs.
        WiringError: a head is named for a teacher that comes as a node; or, when the stage is
            completed, pairs are to be found with a teacher that is cached.
        ModelError: no module of that name is there to be the head; or, when the stage is
            completed or wired, a model gives no maps, or has no Linear and none is named.

    Paper: Liu et al. 2019, CVPR: "Knowledge Distillation via Instance Relationship Graph".

    Differs from the authors' code: theirs (Caffe) trains with edges of the embedding, or with
        shifts inside each stage of a ResNet, at weight 0.005 of half sums (0.16 of our means at
        batch 64). The whole with its weights is the Zoo's, with two maps and one shift, of which it
        compares the later's positions one by one; here, as in the authors' code, their means.

    >>> stage = irg(nn.Linear(4, 2), nn.Linear(6, 2), pairs=(("", ""),), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('vertices', 0.1), ('edges0', 2.5), ('edges', 2.5)]
    """
    terms = [label_term(label_weight)]
    if vertex_weight:
        logits = ["student.logits", "teacher.logits"]
        terms.append(Term("vertices", mse, logits, weight=vertex_weight))
    stage = Stage(
        "irg",
        nodes=[
            as_role("student", student, student_head),
            as_teacher(teacher, head),
        ],
        updates=[Update(learns="student", terms=terms)],
    )
    return paired(stage, pairs, partial(_graphs, edges=edge_weight, shifts=shift_weight))


def _graphs(stage: Stage, pairs: Sequence[Pair], *, edges: float, shifts: float) -> Stage:
    """The stage with the edges of each layer and the shifts between them."""
    taps = [*pairs, (EMBEDDING, EMBEDDING)]
    names = [*(f"edges{at}" for at in range(len(pairs))), "edges"]
    terms = [
        Term(name, edge_gap, _signals(pair), weight=edges / len(taps))
        for name, pair in zip(names, taps, strict=True)
    ]
    nodes: list[Node] = []
    for at, steps in enumerate(pairwise(map(_signals, pairs)), start=1):
        moves = [f"student_shift{at}", f"teacher_shift{at}"]
        nodes += [
            Bridge(name, layer_shift, read) for name, *read in zip(moves, *steps, strict=True)
        ]
        weight = shifts / (len(pairs) - 1)
        terms.append(Term(f"shift{at}", shift_gap, moves, weight=weight))
    (update,) = stage.updates
    update = replace(update, terms=[*update.terms, *terms])
    return replace(stage, nodes=[*stage.nodes, *nodes], updates=[update])


def _signals(pair: Pair) -> list[str]:
    mine, theirs = pair
    return [f"student.{mine}", f"teacher.{theirs}"]
