"""Balance: weights of terms from the norms of their gradients, in place of folklore."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from stillhouse.data.batches import BatchSource
from stillhouse.engine.facts import facts_of
from stillhouse.engine.gradients import gradient_norms
from stillhouse.engine.objective import Objective
from stillhouse.engine.platform import Platform
from stillhouse.engine.seeding import seeded
from stillhouse.engine.signals import Signals
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import OverTraining, Term, Weight
from stillhouse.engine.trainer import Settings, opened
from stillhouse.engine.untouched import untouched
from stillhouse.engine.update_objective import UpdateObjective
from stillhouse.errors import WiringError

MOMENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the training at which a weight that changes is looked at, for its largest value."""


def balanced(
    stage: Stage,
    train: BatchSource,
    settings: Settings,
    platform: Platform,
    *,
    share: float = 1.0,
    batches: int = 8,
) -> Stage:
    """The stage with weights at which the gradients of its terms are in fixed proportions.

    With g_i the root mean square, over the first batches, of the length of the gradient of term i
    at all weights of the kept role as it starts, and L the term that comes first (by custom the
    labels)::

        w_L = 1        w_i = share / n * g_L / g_i

    for the n other terms of the same update: the size of the loss is that of the labels alone, so
    the learning rate means what it means for the control. A weight that changes over the training
    keeps its form: its largest value is set. At the weights and not at the embedding, because a
    term on a layer in the middle has no gradient at the embedding. What has weight 0 or no gradient
    yet is left as it is, and so is a bound term. The weights are fixed then; they are written in
    the stage's notes. So a loss whose gradient grows as it learns (VID, whose variances shrink) may
    come to dominate.

    Args:
        stage: with live teachers.
        train: of which the first batches of the first epoch are used; nothing is trained on them.
        settings, platform: as in the fit.
        share: the gradient norm of the other terms together, in units of the first. 1.0: equal.
        batches: how many.

    Raises:
        WiringError: the stage does not fit together, or its terms are bound to each other.
    """
    stage = stage.completed(facts_of(train))
    check_balance(stage)

    def shown() -> Iterator[Signals]:
        return islice(train.epoch(0), batches)

    factors: dict[str, float] = {}
    with (
        seeded(settings.seed, "balance"),
        opened(stage, train, settings, platform) as objective,
        untouched(update.composite for update in objective.updates),
    ):
        for update in objective.updates:
            if stage.keeps in update.plan.update.learners:
                factors |= _factors(objective, update, share, shown, platform)
    stage = stage.with_terms(lambda term: _scaled(term, factors))
    found = [term for term in stage.terms() if term.name in factors]
    said = ", ".join(f"{term.name} {_largest(term, float(settings.epochs)):.4g}" for term in found)
    return replace(stage, notes={**stage.notes, "balance": said or "one term"})


def check_balance(stage: Stage) -> None:
    """Raise WiringError when a whole stage has terms, and none that may be balanced."""
    others = [
        term
        for update in stage.updates
        if stage.keeps in update.learners
        for term in update.terms[1:]
    ]
    if others and all(term.bound for term in others):
        names = ", ".join(f"'{term.name}'" for term in others)
        raise WiringError(
            f"stage '{stage.name}'",
            [
                f"balance cannot weigh {names}: a share of one mixture, or a gradient of nothing "
                "at the start; leave 'balance' out and set the method's own weights"
            ],
        )


def _factors(
    objective: Objective,
    update: UpdateObjective,
    share: float,
    batches: Callable[[], Iterator[Signals]],
    platform: Platform,
) -> dict[str, float]:
    """What the weight of each term is multiplied by; terms that stay are left out."""
    kept = update.composite.learners[objective.stage.keeps]
    parameters = [p for p in kept.parameters() if p.requires_grad]
    norms = gradient_norms(update, batches(), parameters, platform)
    terms = update.plan.update.terms
    largest = {term.name: _largest(term, objective.epochs) for term in terms}
    bound = {term.name for term in terms if term.bound}
    weighted = {name: norms[name] * weight for name, weight in largest.items()}
    moving = {name: norm for name, norm in weighted.items() if norm > 0.0}
    if not moving.keys() - bound:
        return {}
    first, *others = (name for name in moving if name not in bound)
    alone = moving[first] / largest[first]  # of the first term at weight 1
    found = {name: share / len(others) * alone / moving[name] for name in others}
    return {first: 1.0 / largest[first], **found}


def _largest(term: Term, epochs: float) -> float:
    return max(term.weight_at(at * epochs, epochs) for at in MOMENTS)


def _scaled(term: Term, factors: Mapping[str, float]) -> Term:
    if term.name not in factors:
        return term
    scaled = copy.copy(term)
    scaled.weight = _times(term.weight, factors[term.name])
    return scaled


def _times(weight: Weight, factor: float) -> Weight:
    if isinstance(weight, OverTraining):
        inner = weight.at
        return OverTraining(lambda share: factor * inner(share))
    if callable(weight):
        given = weight
        return lambda epoch: factor * given(epoch)
    return factor * weight
