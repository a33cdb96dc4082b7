"""FitNets: a map in the middle of the teacher is a hint that the student learns to give."""

from typing import Annotated, Literal

from annotated_types import Ge
from torch import nn

from stillhouse.bridges.shapes import Connector
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.terms import Weight as TermWeight
from stillhouse.errors import RecipeError
from stillhouse.functional import kl, mse
from stillhouse.methods.maps import plain_map, signals_of, with_more
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.schedules import STAGE_ONE, afterwards, at_first
from stillhouse.methods.settings import Positive, Share, Weight, checked
from stillhouse.models.detectors import is_detector
from stillhouse.pairing import Pair, Pairs, paired

Number = Annotated[int, Ge(0)]


@checked
def fitnet(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    hint: Number | Literal["all"] = 0,
    weight: Weight = 100.0,
    label_weight: Weight = 1.0,
    kd_weight: Weight = 0.0,
    temperature: Positive = 4.0,
    stages: Literal["one", "two"] = "one",
    hint_share: Share = STAGE_ONE,
) -> Stage:
    """FitNets: a regressor on the student's map gives the teacher's, beside labels or before them.

    ``label_weight * CE(p_s, y) + weight * mean (r(f_s) - f_t)^2 + kd_weight * T^2 KL(p_t, p_s)``, r
    a regressor: a 1x1 convolution and batch norm, resized to the teacher's map. In two stages the
    hint has the first share of the training to itself, and no part in the rest.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        pairs: layers that belong together: 'levels' (the last map at each resolution), 'auto' (the
            most similar ones) or taps by name; see `stillhouse.pairing.propose`.
        hint: which of the pairs, from 1; 0: the middle one (of an even number the later of the
            two), as in the paper; in the benchmark of CRD the second of three. 'all': a hint at
            each pair, 'hint1', ..., which is also what 0 means of a detector.
        weight: of the hint. 100.0: that benchmark, with the mean over all elements as here.
        label_weight: of the cross-entropy. 1.0: the same.
        kd_weight: of the KL. 0.0: the same. The second stage of the paper is KD: give it a weight
            there.
        temperature: T > 0 of the KL. 4.0: the same.
        stages: 'one': all terms together (that benchmark); 'two': the hint first (the paper).
        hint_share: of two stages, the share of the training that is the first. 0.125: not of the
            paper but 30 of 240 epochs, the first stages of other methods in that benchmark.

    Returns:
        A stage that keeps the student; the bridge 'hinted' ('hinted1', ... of all pairs) learns
        with it and is dropped.

    Raises:
        RecipeError: a setting is out of its range, or there is no pair of that number.
        ModelError: when layers are paired, a model gives no maps.

    Paper: Romero et al. 2015 (FitNets), arXiv 1412.6550: "FitNets: Hints for Thin Deep Nets".

    Differs from the authors' code: the mean in place of half the sum, a 1x1 convolution with batch
        norm as regressor (there one as large as it takes to fit the sizes; that benchmark adds a
        ReLU), and the second stage's weights do not decay. Two stages share one budget and one
        schedule, and layers behind the hint see weight decay in the first.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> stage = fitnet(net, net, pairs=(("1", "1"),))
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('hint', 100.0)]
    """

    def later(weight: float) -> TermWeight:
        return afterwards(weight, share=hint_share) if stages == "two" else weight

    scale = at_first(weight, share=hint_share) if stages == "two" else weight
    every = hint == "all" or (hint == 0 and is_detector(student))

    def one(stage: Stage, pair: Pair, number: str = "") -> Stage:
        mine, theirs = signals_of(pair)
        hinted, target = f"hinted{number}", f"target{number}"
        nodes = [
            Bridge.sized(hinted, Connector, mine, by=[mine, theirs]),
            Bridge(target, plain_map, theirs),
        ]
        term = Term(f"hint{number}", mse, [hinted, target], weight=scale, cropped=True)
        return with_more(stage, nodes=nodes, terms=[term], learns=[hinted])

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        if not every:
            return one(stage, _chosen(found, int(hint)))
        for number, pair in enumerate(found, start=1):
            stage = one(stage, pair, str(number))
        return stage

    terms = [label_term(later(label_weight))]
    if kd_weight:
        soft = {"temperature": temperature}
        both = ["student.logits", "teacher.logits"]
        terms.append(Term("kd", kl, both, weight=later(kd_weight), options=soft))
    nodes = [as_role("student", student), as_teacher(teacher)]
    return paired(Stage("fitnet", nodes, [Update("student", terms)]), pairs, add)


def _chosen(pairs: tuple[Pair, ...], hint: int) -> Pair:
    if hint > len(pairs):
        said = f"hint is {hint}, and there are {len(pairs)} pairs; choose 1 to {len(pairs)}"
        raise RecipeError("method 'fitnet'", [said + ", or 0 for the middle one"])
    return pairs[hint - 1 if hint else len(pairs) // 2]
