"""PCL: networks that learn from one classifier on all their embeddings, and from mean teachers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillhouse.engine.nodes import Bridge, Ema
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import kl
from stillhouse.methods.online.cohort import (
    ENSEMBLE,
    as_cohort,
    kl_from_each,
    label_terms,
    measures_of,
    term_of,
)
from stillhouse.methods.roles import label_term
from stillhouse.methods.schedules import sigmoid_rampup
from stillhouse.methods.settings import Positive, Share, Weight, checked
from stillhouse.models.given import copied


@checked
def pcl(
    student: nn.Module,
    peers: Sequence[nn.Module],
    *,
    temperature: Positive = 3.0,
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
    decay: Share = 0.999,
    rampup: Share = 0.267,
) -> Stage:
    """Peer collaborative learning: a strong ensemble and steady peers as teachers, no trained one.

    With ``p_e = softmax(W [z_1, ..., z_M] + b)`` on the embeddings of all networks, and m_j the
    mean teacher of network j, whose weights follow it with this decay::

        label_weight * (sum_i CE(p_i, y) + CE(p_e, y))
          + weight * T^2 * sum_i (KL(p_e^T, p_i^T) + 1 / (M - 1) * sum_{j != i} KL(m_j^T, p_i^T))

    p_e and m_j get no gradient from the KLs. All networks move at once.

    Args:
        student: the network that is kept; its embedding is the input of its head.
        peers: the others, one or more, of any architecture with a Linear as its head.
        temperature: T > 0. 3.0: a public reproduction, not verified against the paper; so are the
            other defaults.
        weight: of the KLs. 1.0.
        label_weight: of all cross-entropies. 1.0.
        decay: of the mean teachers at each step, in 0..1. 0.999. They start with the first weights,
            so in a training of few thousand steps take a smaller one, such as 0.99.
        rampup: over this share of the training the weight grows as ``exp(-5 (1 - t)^2)``. 0.267: 80
            of 300 epochs; 0 switches it off.

    Returns:
        A stage that keeps the student. Measured beside it: each peer, 'ensemble', the classifier on
        all embeddings, and 'mean student', the student's mean teacher, which is a product, too (the
        mean of a network is what the reproduction reports).

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: there is no peer, or two networks share parameters.
        ModelError: when it is wired: a network has no Linear that could be its head.

    Paper: Wu & Gong 2021, arXiv 2006.04147: "Peer Collaborative Learning for Online Knowledge
        Distillation".

    Differs from the authors' code: none is known to us. From the paper: (1) there the peers are
        branches on one trunk, here networks of their own. (2) There each sees another augmentation
        of the image, here all the same view. From the reproduction: (3) its mean teachers are true
        means for the first steps, and run with the statistics of the batch; here the decay is the
        same throughout, and they run in eval mode.

    >>> net = nn.Sequential(nn.Linear(4, 2))
    >>> stage = pcl(net, [nn.Sequential(nn.Linear(4, 2))], rampup=0.0)
    >>> [(term.name, term.weight) for term in stage.terms()][2:5]
    [('label_ensemble', 1.0), ('ensemble', 1.0), ('means', 1.0)]
    """
    cohort = as_cohort("pcl", student, peers)
    means = {role.name: Ema(f"mean_{role.name}", role, decay=decay) for role in cohort}
    embeddings = [f"{role.name}.embedding" for role in cohort]
    grow, soft = sigmoid_rampup(weight, rampup), {"temperature": temperature}
    terms = [
        *label_terms(cohort, label_weight),
        label_term(label_weight, logits=ENSEMBLE, name="label_ensemble"),
    ]
    for role in cohort:
        mine = f"{role.name}.logits"
        others = [f"{means[other.name].name}.logits" for other in cohort if other is not role]
        terms += [
            Term(term_of("ensemble", role), kl, [mine, ENSEMBLE], weight=grow, options=soft),
            Term(term_of("means", role), kl_from_each, [mine, *others], weight=grow, options=soft),
        ]
    joint = Bridge.sized(ENSEMBLE, _joint, embeddings, by=[*embeddings, "student.logits"])
    steady = means["student"]
    return Stage(
        "pcl",
        nodes=[*cohort, *means.values(), joint],
        updates=[Update([*(role.name for role in cohort), ENSEMBLE], terms)],
        measures=measures_of(cohort, **{"mean student": f"{steady.name}.logits"}),
        products={"mean student": lambda: copied(steady.module)},
    )


class JointHead(nn.Module):
    """One linear classifier on several embeddings, side by side.

    Shapes:
        each: [B, D_i]; the result: [B, classes].

    >>> JointHead(7, 2)(torch.zeros(1, 3), torch.zeros(1, 4)).shape
    torch.Size([1, 2])
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, classes)

    def forward(self, *embeddings: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.fc(torch.cat(embeddings, 1))
        return logits


def _joint(*shapes: torch.Size) -> nn.Module:
    *embeddings, logits = shapes
    return JointHead(sum(shape[1] for shape in embeddings), logits[1])
