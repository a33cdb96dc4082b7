"""Token by token: a language model learns the next-token distributions of another."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Gt, Lt
from torch import Tensor, nn

from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError, WiringError
from stillhouse.functional.token_heads import hidden_token_divergence, hidden_token_loss
from stillhouse.functional.tokens import Divergence, token_divergence
from stillhouse.methods.roles import as_role, as_teacher_role, taught
from stillhouse.methods.settings import Positive, Weight, checked

LABEL = "batch.label"
Beta = Annotated[float, Gt(0), Lt(1)]
HALF = 0.5
"""Both models weigh alike in the mixture."""


@checked
def token_kd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    divergence: Divergence = "forward_kl",
    beta: Beta = HALF,
    temperature: Positive = 1.0,
    weight: Weight = 0.5,
    label_weight: Weight = 0.5,
    logits: Literal["whole", "pieces"] = "whole",
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Token-level KD: at each position the teacher's distribution of the next token is the target.

    ``label_weight * -log p(next token) + weight * D(p, q)``, means over the tokens that count; D
    is the forward KL ``KL(q || p)``, the reverse ``KL(p || q)`` or a JSD, see `token_divergence`.
    For models of one vocabulary; labels of -100 count for nothing.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.logits'.
        divergence: which. 'forward_kl': Hinton's KD for each token.
        beta: of the JSD, the weight of the teacher in the mixture. 0.5: the default of GKD.
        temperature: T > 0, of both; no factor T squared. 1.0: GKD.
        weight: of the divergence. 0.5: ours.
        label_weight: of the labels. 0.5: ours.
        logits: 'whole': both models give them, and they are compared a few positions at a time;
            'pieces': they never exist in a training step, since the heads (matrices without bias)
            are applied to a few positions at a time, and again in backward: less memory, more time.
        student_head, head: paths of the heads; found when not named.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range, or beta is given without a JSD.
        WiringError: in pieces, a head is no matrix, or the teacher comes as another node.

    Paper: Agarwal et al. 2024 (GKD), arXiv 2306.13649: the divergences; the forward one is that
        of Hinton et al. 2015, arXiv 1503.02531, for each token.

    Differs from the authors' code: texts are those of the data, none are written by the student
        (GKD with lambda 0); beta weighs the teacher, and the ends of the JSD are kinds of their
        own.

    >>> stage = token_kd(nn.Linear(4, 2), nn.Linear(4, 2), divergence="reverse_kl")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 0.5), ('tokens', 0.5)]
    """
    if beta != HALF and divergence != "jsd":
        said = f"beta is {beta:g}, and it weighs the mixture of a JSD; divergence is {divergence}: "
        raise RecipeError("method 'token_kd'", [f"{said}take divergence: jsd, or leave beta out"])
    options = {"kind": divergence, "beta": beta, "temperature": temperature}
    heads = (student_head, head)
    if logits == "pieces":
        return _in_pieces(student, teacher, heads, options, weights=(label_weight, weight))
    reads = ["student.logits", "teacher.logits", "batch.label"]
    term = Term("tokens", token_divergence, reads, weight=weight, options=options)
    return taught("token_kd", student, teacher, term, label_weight=label_weight, heads=heads)


def _in_pieces(
    student: nn.Module,
    teacher: nn.Module | Node,
    heads: tuple[str | None, str | None],
    options: Mapping[str, Any],
    *,
    weights: tuple[float, float],
) -> Stage:
    """The same of hidden states and the matrices of both heads."""
    roles = as_role("student", student, heads[0]), as_teacher_role("token_kd", teacher, heads[1])
    for role in roles:
        role.apart = True
    mine, theirs = (Bridge(f"{role.name}_head", matrix_of(role), f"{role.name}.embedding")
                    for role in roles)  # fmt: skip
    both = ["student.embedding", mine.name, "teacher.embedding", theirs.name, LABEL]
    label, weight = weights
    terms = [
        Term("label", hidden_token_loss, [*both[:2], LABEL], weight=label, through=True),
        Term("tokens", hidden_token_divergence, both, weight=weight, through=True, options=options),
    ]
    return Stage("token_kd", [*roles, mine, theirs], [Update("student", terms)])


def matrix_of(role: Role) -> Callable[[Tensor], Tensor]:
    """The matrix of a role's head, as a function of anything.

    Raises:
        WiringError: the head is another kind of module, or has a bias.

    >>> matrix_of(as_role("student", nn.Linear(4, 2, bias=False), ""))(Tensor(1)).shape
    torch.Size([2, 4])
    """
    found = role.head_module()
    bias = getattr(found, "bias", None)
    if not isinstance(found, nn.Linear) or bias is not None:
        kind = f"a {type(found).__name__}" + (" with a bias" if bias is not None else "")
        said = f"logits in pieces are products with a matrix, and its head is {kind}"
        raise WiringError(role.title, [f"{said}; leave out logits: pieces"])
    return lambda _: found.weight
