"""OKDDip: peers with targets of their own, so that they stay diverse, and a student that leads."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from stillhouse.engine.nodes import Bridge
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional import kl
from stillhouse.methods.online.cohort import (
    as_cohort,
    label_terms,
    logits_of,
    mean_ensemble,
    measures_of,
)
from stillhouse.methods.schedules import sigmoid_rampup
from stillhouse.methods.settings import Positive, Share, Weight, checked

NARROWING = 8
"""How many times narrower queries and keys are than the embedding, as in the released code."""


@checked
def okddip(
    student: nn.Module,
    peers: Sequence[nn.Module],
    *,
    temperature: Positive = 3.0,
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
    rampup: Share = 0.267,
) -> Stage:
    """Online distillation with diverse peers: each peer learns from others by attention of its own.

    With the peers' embeddings h_a, ``a = softmax_b(W_q h_a . W_k h_b)`` and targets
    ``t_a = sum_b a_ab z_b``; the student s leads and is no part of them::

        label_weight * (CE(p_s, y) + sum_a CE(p_a, y))
          + weight * T^2 * (KL(mean_a z_a, z_s) + sum_a KL(t_a, z_a))      each KL at softmax(z / T)

    As in the released code the gradient flows into the targets, too: so the attention learns, and
    the peers learn to be learnt from. All networks move at once.

    Args:
        student: the leader, which is kept; any classifier.
        peers: the others, whose embeddings (inputs of their heads) are equally wide. Three in the
            released code; a single one has nobody to learn from and is a teacher in training.
        temperature: T > 0. 3.0: the released code.
        weight: of the KLs. 1.0: the same.
        label_weight: of all cross-entropies. 1.0: the same.
        rampup: over this share of the training the weight grows as ``exp(-5 (1 - t)^2)``. 0.267: 80
            of the 300 epochs of the released code; 0 switches it off.

    Returns:
        A stage that keeps the student. Measured beside it: each peer, and 'ensemble', the mean of
        all softmaxes.

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: there is no peer, two networks share parameters, or, when it is wired, the
            peers' embeddings differ in width.

    Paper: Chen et al. 2020, arXiv 1912.00350: "Online Knowledge Distillation with Diverse Peers".

    Differs from the authors' code: (1) it has two forms, branches on one trunk and networks of
        their own; this is the latter. (2) There 1e-7 is added to the targets' probabilities. (3)
        The weight grows from step to step, there from epoch to epoch.

    >>> nets = [nn.Sequential(nn.Linear(4, 2)) for _ in range(3)]
    >>> stage = okddip(nets[0], nets[1:], rampup=0.0)
    >>> [(term.name, term.weight) for term in stage.terms()][3:]
    [('leader', 1.0), ('group_peer1', 1.0), ('group_peer2', 1.0)]
    """
    cohort = as_cohort("okddip", student, peers)
    _leader, *group = cohort
    embeddings, logits = [f"{peer.name}.embedding" for peer in group], logits_of(group)
    attention = Bridge.sized("attention", _attention, embeddings, by=embeddings)
    targets = [
        Bridge(f"target_{peer.name}", partial(_attended, at=at), ["attention", *logits])
        for at, peer in enumerate(group)
    ]
    grow, soft = sigmoid_rampup(weight, rampup), {"temperature": temperature}
    teach = [
        Term(name, kl, reads, weight=grow, options=soft, through=True)
        for name, reads in [
            ("leader", ["student.logits", "group"]),
            *(
                (f"group_{peer.name}", [f"{peer.name}.logits", target.name])
                for peer, target in zip(group, targets, strict=True)
            ),
        ]
    ]
    learners = [*(role.name for role in cohort), attention.name]
    return Stage(
        "okddip",
        nodes=[*cohort, attention, *targets, Bridge("group", _mean, logits), mean_ensemble(cohort)],
        updates=[Update(learners, [*label_terms(cohort, label_weight), *teach])],
        measures=measures_of(cohort),
    )


class PeerAttention(nn.Module):
    """How much each peer listens to each: ``softmax_b(W_q h_a . W_k h_b)``.

    Shapes:
        each: [B, D]; the result: [B, n, n], rows of shares.

    >>> PeerAttention(8)(torch.zeros(1, 8), torch.zeros(1, 8))[0].tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(width // NARROWING, 1)
        self.query = nn.Linear(width, narrow, bias=False)
        self.key = nn.Linear(width, narrow, bias=False)

    def forward(self, *embeddings: Tensor) -> Tensor:
        """The shares."""
        heard = torch.stack(embeddings, 1)
        return torch.softmax((self.query(heard) @ self.key(heard).mT).float(), 2)


def _attention(*shapes: torch.Size) -> nn.Module:
    widths = [shape[1] for shape in shapes]
    if len(set(widths)) > 1:
        said = f"the embeddings of the peers are {', '.join(map(str, widths))} wide"
        raise WiringError("okddip", [f"{said}; choose peers of one width, such as of one model"])
    return PeerAttention(widths[0])


def _attended(attention: Tensor, *logits: Tensor, at: int) -> Tensor:
    return torch.einsum("bn,bnc->bc", attention[:, at], torch.stack(logits, 1).float())


def _mean(*logits: Tensor) -> Tensor:
    return torch.stack(logits).float().mean(0)
