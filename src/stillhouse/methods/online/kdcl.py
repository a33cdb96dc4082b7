"""KDCL: networks that learn together from one target, made of what all of them think."""

from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor, nn

from stillhouse.bridges.ensembles import best_logits, least_logits, linear_logits, mean_logits
from stillhouse.engine.nodes import Bridge
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import kl
from stillhouse.methods.online.cohort import (
    as_cohort,
    label_terms,
    logits_of,
    mean_ensemble,
    measures_of,
    term_of,
)
from stillhouse.methods.settings import Positive, Weight, checked

Kind = Literal["min_logit", "linear", "mean", "best"]

ENSEMBLES: dict[Kind, Callable[..., Tensor]] = {
    "min_logit": least_logits,
    "linear": linear_logits,
    "mean": mean_logits,
    "best": best_logits,
}


@checked
def kdcl(
    student: nn.Module,
    peers: Sequence[nn.Module],
    *,
    ensemble: Kind = "min_logit",
    temperature: Positive = 4.0,
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """Collaborative learning: no teacher; all networks learn from one ensemble of themselves.

    ``sum_k label_weight * CE(p_k, y) + weight * T^2 * KL(p_target^T, p_k^T)``, with the target made
    of all networks' logits, without a gradient:

    min_logit: of each class the least ``z_i(c) - z_i(y)``; linear: ``sum_i a_i z_i`` with the
    shares a of the least cross-entropy on the batch; mean: their mean; best: for each example the
    logits of the network with the least cross-entropy. All but 'mean' read the label, so the target
    is no way of inference. All networks move at once.

    Args:
        student: the network that is kept; any classifier.
        peers: the others, one or more, of any architecture.
        ensemble: 'min_logit', 'linear' and 'best' are the paper's as we remember them; that 'best'
            chooses for each example, too. 'mean' is ours, as a baseline. Not verified against the
            paper.
        temperature: T > 0. 4.0: that of `kd`; the paper's is not known to us.
        weight: of the KL. 1.0: as much as the labels; the paper's is not known to us.
        label_weight: of the cross-entropy. 1.0: from memory of the paper, not verified.

    Returns:
        A stage that keeps the student. Measured beside it: each peer, and 'ensemble', the mean of
        all softmaxes.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: there is no peer, or two networks share parameters.

    Paper: Guo et al. 2020, CVPR: "Online Knowledge Distillation via Collaborative Learning".

    Differs from the authors' code: none is known to us. From the paper, as we remember it, two
        things are missing: the ensemble by generalisation error on validation rows, and images that
        are distorted differently for each network; here all see the same view.

    >>> stage = kdcl(nn.Linear(4, 2), [nn.Linear(4, 2)], ensemble="mean")
    >>> [(term.name, term.weight) for term in stage.terms()][2:]
    [('collaboration', 1.0), ('collaboration_peer1', 1.0)]
    """
    cohort = as_cohort("kdcl", student, peers)
    reads = [*([] if ensemble == "mean" else ["batch.label"]), *logits_of(cohort)]
    target = [
        Term(
            term_of("collaboration", role),
            kl,
            [f"{role.name}.logits", "target"],
            weight=weight,
            options={"temperature": temperature},
        )
        for role in cohort
    ]
    return Stage(
        "kdcl",
        nodes=[*cohort, Bridge("target", ENSEMBLES[ensemble], reads), mean_ensemble(cohort)],
        updates=[
            Update([role.name for role in cohort], [*label_terms(cohort, label_weight), *target]),
        ],
        measures=measures_of(cohort),
    )
