"""Factor transfer: the student translates what a paraphraser makes of the teacher's map."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

from annotated_types import Gt, Le
from torch import Size, nn

from stillhouse.bridges.maps import factor_decoder, factor_encoder
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.terms import Weight as TermWeight
from stillhouse.functional import factor_gap, mse
from stillhouse.methods.maps import one_size, plain_map, signals_of, with_more
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.schedules import STAGE_ONE, afterwards
from stillhouse.methods.settings import Share, Weight, checked
from stillhouse.pairing import Pair, Pairs, paired

Rate = Annotated[float, Gt(0), Le(1)]


@checked
def ft(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    layers: Literal["last", "all"] = "last",
    weight: Weight = 200.0,
    form: Literal["maps", "whole"] = "maps",
    rate: Rate = 0.5,
    label_weight: Weight = 1.0,
    paraphrase_share: Share = STAGE_ONE,
) -> Stage:
    """Factor transfer: the student's map, translated, gives the factors of the teacher's.

    ``label_weight * CE(p_s, y) + weight * mean |n(T(f_s)) - n(P(f_t))|``; see
    `stillhouse.functional.factor_gap` for n. The paraphraser P is half of an auto-encoder of the
    teacher's map, which learns from its reconstruction alone, in an update of its own; the
    translator T learns with the student, whose factors count once P has learned for a share of
    the training.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        pairs: layers that belong together: 'levels' (the last map at each resolution), 'auto' (the
            most similar ones) or taps by name; see `stillhouse.pairing.propose`.
        layers: 'last': the deepest pair (the CIFAR-100 benchmark of CRD); 'all': each pair, with
            a paraphraser and a translator of its own.
        weight: of each pair. 200.0: that benchmark, for its form.
        form: 'maps': squares of the factors, averaged over channels (that benchmark); 'whole': the
            factors themselves (the paper). The two differ in size: tune the weight of 'whole'.
        rate: channels of the factors, as a share of the teacher's. 0.5: that benchmark.
        label_weight: of the cross-entropy. 1.0: the same.
        paraphrase_share: the share of the training before the factors count. 0.125: 30 epochs to
            240, as in that benchmark, there before them. 0: from the first step.

    Returns:
        A stage that keeps the student; the bridges 'paraphrased1', 'rebuilt1' and 'translated1'
        learn and are dropped.

    Raises:
        RecipeError: a setting is out of its range.
        ModelError: when layers are paired, a model gives no maps.

    Paper: Kim, Park & Kwak 2018, arXiv 1802.04977: "Paraphrasing Complex Network: Network
        Compression via Factor Transfer".

    Differs from the authors' code: not compared. Of that benchmark: the paraphraser goes on
        learning beside the student, by the same optimiser and schedule (there it is finished first,
        then frozen), and the student learns from labels meanwhile.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> stage = ft(net, net, pairs=(("1", "1"),))
    >>> [(u.name, u.learners, [term.name for term in u.terms]) for u in stage.updates]
    [('update', ('student', 'translated1'), ['label', 'ft1']), \
('paraphrase', ('paraphrased1', 'rebuilt1'), ['rebuild1'])]
    """
    scale = afterwards(weight, share=paraphrase_share) if paraphrase_share else weight

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        used = found[-1:] if layers == "last" else found
        for at, pair in enumerate(used, start=1):
            stage = _with_factors(stage, at, pair, scale=scale, form=form, rate=rate)
        return stage

    nodes = [as_role("student", student), as_teacher(teacher)]
    updates = [
        Update("student", [label_term(label_weight)]),
        Update((), (), name="paraphrase"),
    ]
    return paired(Stage("ft", nodes, updates), pairs, add)


def _with_factors(
    stage: Stage, at: int, pair: Pair, *, scale: TermWeight, form: str, rate: float
) -> Stage:
    """The stage with the paraphraser and the translator of one pair."""
    mine, theirs = f"student_map{at}", f"teacher_map{at}"
    coded, rebuilt, translated = f"paraphrased{at}", f"rebuilt{at}", f"translated{at}"
    factors = f"student_factor{at}", f"teacher_factor{at}"
    nodes: list[Node] = [
        *(Bridge(name, plain_map, tap) for name, tap in zip((mine, theirs), signals_of(pair),
                                                            strict=True)),
        Bridge.sized(coded, _encoder(rate), theirs, by=[theirs, theirs]),
        Bridge.sized(rebuilt, _decoder(rate), coded, by=theirs),
        Bridge.sized(translated, _encoder(rate, norm=True), mine, by=[mine, theirs]),
        *one_size(translated, coded, names=factors),
    ]  # fmt: skip
    term = Term(f"ft{at}", factor_gap, factors, weight=scale, options={"form": form}, cropped=True)
    stage = with_more(stage, nodes=nodes, terms=[term], learns=[translated])
    update, paraphrase = stage.updates
    paraphrase = replace(
        paraphrase,
        learns=(*paraphrase.learners, coded, rebuilt),
        terms=(*paraphrase.terms, Term(f"rebuild{at}", mse, [rebuilt, theirs], cropped=True)),
    )
    return replace(stage, updates=(update, paraphrase))


def _encoder(rate: float, *, norm: bool = False) -> Callable[[Size, Size], nn.Module]:
    def build(own: Size, theirs: Size) -> nn.Module:
        return factor_encoder(own[1], _count(theirs, rate), norm=norm)

    return build


def _decoder(rate: float) -> Callable[[Size], nn.Module]:
    return lambda theirs: factor_decoder(_count(theirs, rate), theirs[1])


def _count(theirs: Size, rate: float) -> int:
    return max(1, int(rate * theirs[1]))
