"""Be your own teacher: the deepest layers teach exits that branch off before them."""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from stillhouse.bridges import ExitBranch, classifier
from stillhouse.engine.facts import Facts
from stillhouse.engine.nodes import Bridge
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import ModelError
from stillhouse.functional import kl, mse
from stillhouse.methods.roles import as_role, label_term
from stillhouse.methods.settings import Positive, Share, Weight, checked
from stillhouse.pairing import as_map_tap, image_shown, levels

PROBED = 2
"""Images on which the levels of the network are found."""


@checked
def byot(
    student: nn.Module,
    *,
    alpha: Share = 0.1,
    temperature: Positive = 3.0,
    feature_weight: Weight = 0.0655,
    student_head: str | None = None,
) -> Stage:
    """Be your own teacher: exits at shallower levels learn from the end of the same network.

    ``CE(q, y) + sum_i (1 - alpha) CE(q_i, y) + alpha T^2 KL(q^T, q_i^T) + feature_weight
    mean_d (F_i - F)_d^2``: q and F are the network's own logits and embedding, without gradient as
    targets, q_i and F_i those of exit i. There is an exit at each level but the last, a level
    being where the network ends to work at one resolution (`stillhouse.pairing.levels`): a small
    branch to the width of the embedding (`stillhouse.bridges.ExitBranch`) and a linear classifier.

    The exits are measured as 'exit 1', 'exit 2', ... and dropped: the product is the bare student.

    Args:
        student: the learner; any network of two resolutions at least.
        alpha: share of the soft classes at each exit. 0.1: a public implementation that is not the
            authors'; not verified against the paper, and neither is anything below.
        temperature: T > 0. 3.0: the same.
        feature_weight: of the mean squared error of the features. 0.0655: the same, whose 1e-6 is
            of a sum over a batch of 128 and 512 dimensions.
        student_head: path of the classifier; found when not named.

    Returns:
        A stage that is completed when training data are known; it keeps the student, and the
        branches learn with it.

    Raises:
        RecipeError: a setting is out of its range.
        ModelError: no such head; or, when data are known, the network has one level only.

    Paper: Zhang et al. 2019, arXiv 1905.08094: "Be Your Own Teacher: Improve the Performance of
        Convolutional Neural Networks via Self Distillation".

    Differs from the authors' code: not compared. The public implementation weighs the labels of
        the deepest classifier by 1 - alpha, too, has bottlenecks of several convolutions for
        branches and sums the features' error; the means are ours.

    >>> byot(nn.Linear(4, 2)).measures
    {'student': 'student.logits'}
    """

    def complete(stage: Stage, facts: Facts) -> Stage:
        taps = _exits(stage, facts)
        names = [name for at, _ in enumerate(taps, 1) for name in (f"branch_{at}", f"exit_{at}")]
        terms = [
            term
            for at, _ in enumerate(taps, 1)
            for term in _terms(at, alpha, temperature, feature_weight)
        ]
        exits = {f"exit {at}": f"exit_{at}" for at, _ in enumerate(taps, 1)}
        return replace(
            stage,
            nodes=[*stage.nodes, *_branches(taps)],
            updates=[Update(["student", *names], [*stage.updates[0].terms, *terms])],
            measures={**stage.measures, **exits},
            notes={**stage.notes, "exits": ", ".join(taps)},
        )

    return Stage(
        "byot",
        nodes=[as_role("student", student, student_head)],
        updates=[Update("student", [label_term()])],
        complete=complete,
    )


def _exits(stage: Stage, facts: Facts) -> Sequence[str]:
    """The taps after which the network is left early."""
    role = stage.role("student")
    found = levels(role.module, image_shown(stage, role, facts.sample(PROBED)))
    if len(found) < 2:
        raise ModelError(
            f"{type(role.module).__name__} works at one resolution ({found[0].tap}), so there is "
            "nothing to leave early; take a network of two resolutions at least"
        )
    return [as_map_tap(stage, "student", level.tap) for level in found[:-1]]


def _branches(taps: Sequence[str]) -> list[Bridge]:
    bridges = []
    for at, tap in enumerate(taps, 1):
        read, branch = f"student.{tap}", f"branch_{at}"
        deep, logits = "student.embedding", "student.logits"
        bridges += [
            Bridge.sized(branch, ExitBranch, read, by=[read, deep]),
            Bridge.sized(f"exit_{at}", classifier, branch, by=[branch, logits]),
        ]
    return bridges


def _terms(at: int, alpha: float, temperature: float, feature_weight: float) -> list[Term]:
    leaving, soft = f"exit_{at}", {"temperature": temperature}
    features = [f"branch_{at}", "student.embedding"]
    return [
        label_term(1.0 - alpha, logits=leaving, name=f"label_{at}"),
        Term(f"kd_{at}", kl, [leaving, "student.logits"], weight=alpha, options=soft),
        Term(f"feature_{at}", mse, features, weight=feature_weight),
    ]
