"""Plain training: how teachers are made, and the control of every distillation."""

from torch import nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.methods.roles import label_term


def plain(student: nn.Module) -> Stage:
    """The labels and nothing else: the loss of the task, ``CE(p_s, y)`` for a classification.

    >>> [term.name for term in plain(nn.Linear(4, 2)).terms()]
    ['label']
    """
    return Stage(
        "plain",
        nodes=[Role("student", student)],
        updates=[Update("student", [label_term()])],
    )
