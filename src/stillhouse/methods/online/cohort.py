"""A cohort: the student and the peers that learn beside it, what each learns, what is measured."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillhouse.bridges.ensembles import mean_of_softmaxes
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional import kl
from stillhouse.methods.roles import label_term

STUDENT, ENSEMBLE = "student", "ensemble"


def as_cohort(method: str, student: nn.Module, peers: Sequence[nn.Module]) -> list[Role]:
    """The student and its peers as roles: 'student', 'peer1', 'peer2', ...

    Raises:
        WiringError: there is no peer, or two of the networks share parameters.

    >>> [role.name for role in as_cohort("dml", nn.Linear(2, 2), [nn.Linear(2, 2)])]
    ['student', 'peer1']
    """
    if not peers:
        said = "it has no peer to learn from; give one network or more: peers=[network]"
        raise WiringError(method, [said])
    named = {STUDENT: student, **{f"peer{at}": each for at, each in enumerate(peers, 1)}}
    owners: dict[nn.Parameter, str] = {}
    for name, module in named.items():
        shared = {owners[p] for p in module.parameters() if p in owners}
        if shared:
            said = f"'{name}' shares parameters with '{min(shared)}'; give each network its own"
            raise WiringError(method, [f"{said} (copy.deepcopy, then other start weights)"])
        owners |= dict.fromkeys(module.parameters(), name)
    return [Role(name, module) for name, module in named.items()]


def logits_of(cohort: Sequence[Role]) -> list[str]:
    """The signals of their logits, the student's first.

    >>> logits_of(as_cohort("dml", nn.Linear(2, 2), [nn.Linear(2, 2)]))
    ['student.logits', 'peer1.logits']
    """
    return [f"{role.name}.logits" for role in cohort]


def mean_ensemble(cohort: Sequence[Role]) -> Bridge:
    """The node 'ensemble': the mean of their softmaxes."""
    return Bridge(ENSEMBLE, mean_of_softmaxes, logits_of(cohort))


def measures_of(cohort: Sequence[Role], **more: str) -> dict[str, str]:
    """What is scored: the student, each peer, the ensemble, and what else a method has.

    >>> measures_of(as_cohort("dml", nn.Linear(2, 2), [nn.Linear(2, 2)]))
    {'student': 'student.logits', 'peer 1': 'peer1.logits', 'ensemble': 'ensemble'}
    """
    labels = [role.name.replace("peer", "peer ") for role in cohort]
    return {**dict(zip(labels, logits_of(cohort), strict=True)), ENSEMBLE: ENSEMBLE, **more}


def term_of(term: str, role: Role) -> str:
    """The name of a term of one network: the student's bears no suffix.

    >>> [term_of("label", role) for role in as_cohort("dml", nn.Linear(2, 2), [nn.Linear(2, 2)])]
    ['label', 'label_peer1']
    """
    return term if role.name == STUDENT else f"{term}_{role.name}"


def label_terms(cohort: Sequence[Role], weight: float) -> list[Term]:
    """The cross-entropy of each network with the labels."""
    return [
        label_term(weight, logits=f"{role.name}.logits", name=term_of("label", role))
        for role in cohort
    ]


def kl_from_each(student: Tensor, *peers: Tensor, temperature: float = 1.0) -> Tensor:
    """The mean over some networks of the KL from each: ``1/n sum_l T^2 KL(p_l, p_s)``.

    Shapes:
        student and each of the others: [B, C] logits; returns [B], float32.

    >>> z = torch.tensor([[1.0, 0.0]])
    >>> round(kl_from_each(z, -z, z).item(), 4)
    0.2311
    """
    return torch.stack([kl(student, each, temperature=temperature) for each in peers]).mean(0)
