"""Plain training: how teachers are made, and the control of every distillation."""

from torch import nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import cross_entropy


def plain(student: nn.Module) -> Stage:
    """Cross-entropy with the labels and nothing else: ``CE(p_s, y)``.

    >>> [term.name for term in plain(nn.Linear(4, 2)).terms()]
    ['label']
    """
    return Stage(
        "plain",
        nodes=[Role("student", student)],
        updates=[
            Update("student", [Term("label", cross_entropy, ["student.logits", "batch.label"])]),
        ],
    )
