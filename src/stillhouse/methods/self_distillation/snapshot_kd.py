"""Snapshot distillation: the end of each cycle teaches the next one."""

from typing import Annotated

from annotated_types import Ge, Le
from torch import nn

from stillhouse.engine.nodes import Ema
from stillhouse.engine.schedules import cosine_restarts
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import OverTraining, Term
from stillhouse.functional import kl
from stillhouse.methods.roles import as_role, label_term
from stillhouse.methods.settings import Positive, Weight, checked

Cycles = Annotated[int, Ge(2), Le(1_000_000)]

ROUNDING = 1e-9
"""Of a share of the training that was divided twice; far less than a step."""


@checked
def snapshot_kd(
    student: nn.Module,
    *,
    cycles: Cycles = 3,
    temperature: Positive = 2.0,
    weight: Weight = 1.0,
    label_weight: Weight = 1.0,
) -> Stage:
    """Snapshot distillation: in each cycle but the first, the last snapshot of the one before.

    ``label_weight * CE(p_s, y) + weight * T^2 KL(p_snapshot^T, p_s^T)``, without the KL in the
    first cycle. The training is cut into equal cycles; in each the learning rate falls from its
    full value to 0 by a cosine, in place of the schedule of the recipe, so that a snapshot is
    taken where the network has settled and the next cycle leads away from it.

    Args:
        student: the learner; any classifier.
        cycles: how many, at least 2. 3: our choice. One cycle should be long enough to train.
        temperature: T > 0, of both sides. 2.0: from memory of the paper, not verified.
        weight: of the KL. 1.0: our choice, not verified against the paper.
        label_weight: of the cross-entropy. 1.0: the same.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.

    Paper: Yang et al. 2019, arXiv 1812.00123: "Snapshot Distillation: Teacher-Student Optimization
        in One Generation".

    Differs from the authors' code: not compared; of the paper we know that the last snapshot of
        each cycle teaches the whole next one and that its answers are softened, not its weights.

    >>> stage = snapshot_kd(nn.Linear(4, 2), cycles=4)
    >>> [[term.weight_at(epoch, 40.0) for term in stage.terms()] for epoch in (9.9, 10.0)]
    [[1.0, 0.0], [1.0, 1.0]]
    """
    role = as_role("student", student)
    first = 1.0 / cycles - ROUNDING
    soft = Term(
        "kd",
        kl,
        ["student.logits", "snapshot.logits"],
        weight=OverTraining(lambda share: weight if share >= first else 0.0),
        options={"temperature": temperature},
        bound=True,  # at the start student and target are one network
    )
    return Stage(
        "snapshot_kd",
        nodes=[role, Ema("snapshot", role, decay=0.0, parts=cycles)],
        updates=[
            Update("student", [label_term(label_weight), soft], schedule=cosine_restarts(cycles)),
        ],
    )
