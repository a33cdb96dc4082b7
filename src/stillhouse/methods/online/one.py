"""ONE: a network grows branches, which learn from what all of them think together."""

from dataclasses import replace
from functools import partial
from typing import Annotated

from annotated_types import Ge, Le
from torch import nn

from stillhouse.engine.facts import Facts
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import ModelError
from stillhouse.functional import kl
from stillhouse.methods.online.branches import Gate, Grafts, gated_sum
from stillhouse.methods.roles import label_term
from stillhouse.methods.schedules import sigmoid_rampup
from stillhouse.methods.settings import Positive, Share, Weight, checked
from stillhouse.pairing import image_shown, levels

Branches = Annotated[int, Ge(1), Le(64)]


@checked
def one(
    student: nn.Module,
    *,
    branches: Branches = 2,
    tap: str | None = None,
    temperature: Positive = 3.0,
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
    rampup: Share = 0.267,
) -> Stage:
    """On-the-fly native ensemble: no teacher, no peer; the last part of the student several times.

    With branches i = 0..n on one trunk (0 is the student's own last part), ``z_e = sum_i g_i z_i``
    and ``g = softmax(relu(bn(W mean(features) + b)))`` of the trunk's features::

        label_weight * (sum_i CE(p_i, y) + CE(p_e, y)) + weight * T^2 * sum_i KL(p_e^T, p_i^T)

    p_e gets no gradient from the KL. What is kept is the student as it was: trunk and branch 0.

    Args:
        student: any classifier that torch.fx can trace and through whose tap all goes.
        branches: how many besides its own. 2: the released code (three in all).
        tap: where they leave the trunk; by default the end of the last level of resolution but one,
            found on the training images (layer2 of a CIFAR ResNet, as in the released code).
        temperature: T > 0. 3.0: the released code.
        weight: of the KLs. 1.0: the same.
        label_weight: of all cross-entropies. 1.0: the same.
        rampup: over this share of the training the weight grows as ``exp(-5 (1 - t)^2)``. 0.267: 80
            of the 300 epochs of the released code; 0 switches it off.

    Returns:
        A stage that keeps the student. Measured beside it: each other branch, and 'ensemble', the
        gated sum, which is a product, too.

    Raises:
        RecipeError: a setting is out of its range.
        ModelError: when it is completed or wired: the student has one level of resolution only and
            no tap is named, it cannot be traced, or a skip connection passes the tap by.

    Paper: Lan et al. 2018, arXiv 1806.04606: "Knowledge Distillation by On-the-Fly Native
        Ensemble".

    Differs from the authors' code: (1) A branch starts with the weights of the student's own last
        part in a random order, a fresh draw of whatever its author initialised it with. (2) The
        weight grows from step to step, there from epoch to epoch. (3) There 1e-7 is added to the
        ensemble's probabilities.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> stage = one(net, label_weight=0.5)  # its branches are found on the training images
    >>> [(term.name, term.weight) for term in stage.terms()], stage.complete is None
    ([('label', 0.5)], False)
    """
    soft = {"temperature": temperature}
    grow = sigmoid_rampup(weight, rampup)

    def grown(stage: Stage, at: str) -> Stage:
        grafts = Grafts.of(stage.role("student").module, at)
        reads = f"student.{at}"
        others = [
            Bridge.sized(f"branch{n + 1}", grafts.branch, reads, by=stage.role("student").reads)
            for n in range(branches)
        ]
        gate = Bridge.sized("gate", partial(Gate, branches=branches + 1), reads, by=reads)
        names = ["", *(f"_{other.name}" for other in others)]
        logits = ["student.logits", *(other.name for other in others)]
        every = list(zip(names, logits, strict=True))
        labels = [
            label_term(label_weight, logits=read, name=f"label{name}")
            for name, read in [*every, ("_ensemble", "ensemble")]
        ]
        teach = [
            Term(f"kd{name}", kl, [read, "ensemble"], weight=grow, options=soft)
            for name, read in every
        ]
        return replace(
            stage,
            nodes=[*stage.nodes, *others, gate, Bridge("ensemble", gated_sum, ["gate", *logits])],
            updates=[Update(["student", *(o.name for o in others), "gate"], [*labels, *teach])],
            measures={
                "student": "student.logits",
                **{f"branch {n + 1}": other.name for n, other in enumerate(others)},
                "ensemble": "ensemble",
            },
            products={"ensemble": lambda: grafts.ensemble(gate.module, [o.module for o in others])},
            notes={**stage.notes, "branches leave at": at},
        )

    alone = Stage(
        "one", [Role("student", student)], [Update("student", [label_term(label_weight)])]
    )
    return replace(
        alone, complete=lambda stage, facts: grown(stage, tap or _last_but_one(stage, facts))
    )


def _last_but_one(stage: Stage, facts: Facts) -> str:
    """Where the student's last level of resolution begins."""
    role = stage.role("student")
    student, found = role.module, levels(role.module, image_shown(stage, role, facts.sample()))
    if len(found) < 2:
        raise ModelError(
            f"{type(student).__name__} works at one resolution (up to '{found[0].tap}'), so there "
            "is no last level but one where branches could leave; name a place, such as tap: layer1"
        )
    return found[-2].tap
