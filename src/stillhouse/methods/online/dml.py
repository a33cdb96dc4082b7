"""DML: networks that learn together, each from the labels and from what the others think."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.methods.online.cohort import (
    as_cohort,
    kl_from_each,
    label_terms,
    logits_of,
    mean_ensemble,
    measures_of,
    term_of,
)
from stillhouse.methods.settings import Positive, Weight, checked


@checked
def dml(
    student: nn.Module,
    peers: Sequence[nn.Module],
    *,
    update: Literal["synchronous", "alternating"] = "synchronous",
    temperature: Positive = 1.0,
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """Deep mutual learning: no teacher; each network of a cohort learns from all others.

    For each network k of M, with the others' p_l as targets that get no gradient::

        label_weight * CE(p_k, y) + weight * T^2 / (M - 1) * sum_{l != k} KL(p_l^T, p_k^T)

    synchronous: one update of all networks, each from what the others were before it; one pass of
    each network a step. alternating: the networks move one after the other on the same batch, each
    from what the others are by then; a network that only plays runs without autograd, in train
    mode, and its batch-norm statistics move then too (so M times a step), which takes M times the
    forward passes.

    Args:
        student: the network that is kept; any classifier.
        peers: the others, one or more, of any architecture; fresh ones must not start with the
            student's own weights, or they have nothing to tell it.
        update: 'synchronous' (as widely re-implemented) or 'alternating' (Algorithm 1 as we
            remember it, not verified against the paper; the released code updates them one by
            one, too).
        temperature: T > 0. 1.0: the released code.
        weight: of the mean KL. 1.0: the paper's sum has no other weight.
        label_weight: of the cross-entropy. 1.0: the same.

    Returns:
        A stage that keeps the student. Measured beside it: each peer, and 'ensemble', the mean of
        all softmaxes.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: there is no peer, or two networks share parameters.

    Paper: Zhang et al. 2018, arXiv 1706.00384: "Deep Mutual Learning".

    Differs from the authors' code: (1) with more than two networks it adds the KLs up, without the
        paper's mean over the others; give weight = M - 1 for that. (2) It takes a new batch for
        each network's update. (3) There the batch-norm statistics of a network move in its own
        update only. (4) It adds 1e-8 inside its logarithms, and trains with Adam; here optimiser
        and schedule are the recipe's, the same for all networks. Gradient clipping, if asked for,
        is over all networks at once when they move together.

    >>> stage = dml(nn.Linear(4, 2), [nn.Linear(4, 2)])
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('mutual', 1.0), ('label_peer1', 1.0), ('mutual_peer1', 1.0)]
    """
    cohort = as_cohort("dml", student, peers)
    mutual = [_mutual(role, cohort, temperature, weight) for role in cohort]
    pairs = list(zip(label_terms(cohort, label_weight), mutual, strict=True))
    if update == "synchronous":
        updates = [
            Update([role.name for role in cohort], [term for pair in pairs for term in pair])
        ]
    else:
        updates = [
            Update(role.name, pair, name=role.name)
            for role, pair in zip(cohort, pairs, strict=True)
        ]
    return Stage(
        "dml",
        nodes=[*cohort, mean_ensemble(cohort)],
        updates=updates,
        measures=measures_of(cohort),
    )


def _mutual(role: Role, cohort: Sequence[Role], temperature: float, weight: float) -> Term:
    others = [other for other in cohort if other is not role]
    return Term(
        term_of("mutual", role),
        kl_from_each,
        logits_of([role, *others]),
        weight=weight,
        options={"temperature": temperature},
    )
