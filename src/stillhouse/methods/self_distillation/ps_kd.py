"""PS-KD: what the network said of an image when it last saw it softens the label."""

from dataclasses import replace

import torch
from torch import nn

from stillhouse.engine.facts import Facts
from stillhouse.engine.flags import Flags
from stillhouse.engine.signals import LOGITS
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import OverTraining, Term
from stillhouse.errors import WiringError
from stillhouse.losses import PastPredictions
from stillhouse.methods.roles import as_role, label_term
from stillhouse.methods.settings import Share, checked
from stillhouse.models.given import set_eval
from stillhouse.models.outputs import named_outputs
from stillhouse.pairing import shown

PROBED = 2
"""Images from which the number of classes is read."""


@checked
def ps_kd(student: nn.Module, *, alpha: Share = 0.8) -> Stage:
    """Progressive self-KD: the label is mixed with the network's own prediction of an epoch ago.

    ``CE(p_t, (1 - a_t) y + a_t p_(t-1))`` with ``a_t = alpha * t / T``: t of T is the share of the
    training that is done, and ``p_(t-1)`` the probabilities that the network gave this row when it
    was last shown, under the view of then. A row that was not shown yet has its hard label. The
    mixture is linear in the target, so it is two terms, 'label' and 'past'.

    Each epoch leaves out the rows of its incomplete batch: what is remembered of those is more
    than one epoch old.

    Args:
        student: the learner; any classifier.
        alpha: weight of the past at the end of the training, in 0..1. 0.8: the released command.

    Returns:
        A stage that is completed when training data are known; it keeps the student. Its memory,
        4 bytes for each row and class, is on the device and in the checkpoints.

    Raises:
        RecipeError: alpha is out of its range.
        WiringError: when data are known, the student gives no logits [B, classes].

    Paper: Kim et al. 2021, arXiv 2006.12000: "Self-Knowledge Distillation with Progressive
        Refinement of Targets".

    Differs from the authors' code: alpha grows in fractions of an epoch from 0 to ``alpha``; there
        it is constant in an epoch, ``alpha * epoch / epochs`` with epochs counted from 1, which is
        half an epoch ahead on average.

    >>> stage = ps_kd(nn.Linear(4, 2))
    >>> [round(term.weight_at(5.0, 20.0), 2) for term in stage.terms()], stage.complete is None
    ([0.8], False)
    """

    def complete(stage: Stage, facts: Facts) -> Stage:
        memory = PastPredictions(facts.rows, _classes(stage, facts))
        reads = [f"student.{LOGITS}", "batch.label", "batch.index"]
        grow = OverTraining(lambda share: alpha * share)
        past = Term("past", memory, reads, weight=grow, bound=True)
        return replace(stage, updates=[Update("student", [*stage.updates[0].terms, past])])

    label = label_term(OverTraining(lambda share: 1.0 - alpha * share), bound=True)
    return Stage(
        "ps_kd",
        nodes=[as_role("student", student)],
        updates=[Update("student", [label])],
        complete=complete,
    )


def _classes(stage: Stage, facts: Facts) -> int:
    """How many classes the student tells apart, from running it once."""
    role = stage.role("student")
    given = shown(stage, role, facts.sample(PROBED))
    flags = Flags([role.module])
    try:
        set_eval(role.module)
        with torch.no_grad():
            logits = named_outputs(role.call(list(given.values())), role.output).get(LOGITS)
    finally:
        flags.restore()
    if logits is None or logits.ndim != 2:
        said = "the student gives no logits [B, classes], of which a past could be remembered"
        raise WiringError("stage 'ps_kd'", [said])
    return logits.shape[1]
