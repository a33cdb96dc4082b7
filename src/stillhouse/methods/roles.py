"""The roles that most methods begin with: a student, a teacher, and the term of the labels."""

from torch import nn

from stillhouse.engine.nodes import Node, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term, Weight
from stillhouse.errors import WiringError


def as_role(name: str, model: nn.Module, head: str | None = None) -> Role:
    """A model as a role; a head that is named must be there.

    Raises:
        ModelError: no module of that name is there to be the head.

    >>> as_role("student", nn.Sequential(nn.Linear(2, 2)), "0").head
    '0'
    """
    role = Role(name, model, head=head)
    if head is not None and not role.embeds:
        role.head_module()  # a path that leads nowhere is told now, with its neighbours
    return role


def as_teacher(teacher: nn.Module | Node, head: str | None = None) -> Node:
    """A model as the node 'teacher'; a node (a Replay, a Role with a named head) as it is.

    Raises:
        WiringError: a head is named for a teacher that comes as a node.
        ModelError: no module of that name is there to be the head.
    """
    if not isinstance(teacher, Node):
        return as_role("teacher", teacher, head)
    if head is not None:
        said = f"head {head!r} is asked of a teacher that comes as a node; name it in the node"
        raise WiringError("teacher", [f"{said}: Role('teacher', model, head={head!r})"])
    return teacher


def as_teacher_role(method: str, teacher: nn.Module | Node, head: str | None = None) -> Role:
    """A teacher whose modules a method uses: a model, or a Role called 'teacher'.

    Raises:
        WiringError: it is another node, or a head is named for a role.
        ModelError: no module of that name is there to be the head.

    >>> as_teacher_role("th_kd", nn.Sequential(nn.Linear(2, 2))).name
    'teacher'
    """
    node = as_teacher(teacher, head)
    if not isinstance(node, Role) or node.name != "teacher":
        said = f"the teacher must be a model or a Role called 'teacher', not '{node.name}'"
        raise WiringError(method, [f"{said}, a {type(node).__name__}"])
    return node


def label_term(
    weight: Weight = 1.0,
    *,
    logits: str = "student.logits",
    label: str = "batch.label",
    name: str = "label",
    bound: bool = False,
) -> Term:
    """The labelled term: the loss of the task, cross-entropy for a classification.

    Args:
        weight, name, bound: as of any term.
        logits: what a network says.
        label: what is right.

    >>> label_term(0.1).weight
    0.1
    """
    return Term.labelled(name, [logits, label], weight=weight, bound=bound)


def taught(
    name: str,
    student: nn.Module,
    teacher: nn.Module | Node,
    *terms: Term,
    label_weight: float = 1.0,
    heads: tuple[str | None, str | None] = (None, None),
) -> Stage:
    """The stage of most methods: a student that learns labels and these terms, a frozen teacher.

    Args:
        name: of the stage.
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        terms: what it learns beside the labels.
        label_weight: of the cross-entropy.
        heads: paths of the classifiers of student and teacher; found when not named.

    Raises:
        WiringError: a head is named for a teacher that comes as a node.
        ModelError: no module of that name is there to be the head.

    >>> [term.name for term in taught("mine", nn.Linear(2, 2), nn.Linear(2, 2)).terms()]
    ['label']
    """
    mine, theirs = heads
    nodes = [as_role("student", student, mine), as_teacher(teacher, theirs)]
    return Stage(name, nodes, [Update("student", [label_term(label_weight), *terms])])
