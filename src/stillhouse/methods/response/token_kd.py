"""Token by token: a language model learns the next-token distributions of another."""

from typing import Annotated

from annotated_types import Gt, Lt
from torch import nn

from stillhouse.engine.nodes import Node
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.functional.tokens import Divergence, token_divergence
from stillhouse.methods.roles import taught
from stillhouse.methods.settings import Positive, Weight, checked

Beta = Annotated[float, Gt(0), Lt(1)]


@checked
def token_kd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    divergence: Divergence = "forward_kl",
    beta: Beta = 0.5,
    temperature: Positive = 1.0,
    weight: Weight = 0.5,
    label_weight: Weight = 0.5,
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

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range.

    Paper: Agarwal et al. 2024 (GKD), arXiv 2306.13649: the divergences; the forward one is that
        of Hinton et al. 2015, arXiv 1503.02531, for each token.

    Differs from the authors' code: texts are those of the data, none are written by the student
        (GKD with lambda 0); beta weighs the teacher, and the ends of the JSD are kinds of their
        own.

    >>> stage = token_kd(nn.Linear(4, 2), nn.Linear(4, 2), divergence="reverse_kl")
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 0.5), ('tokens', 0.5)]
    """
    return taught(
        "token_kd",
        student,
        teacher,
        Term(
            "tokens",
            token_divergence,
            ["student.logits", "teacher.logits", "batch.label"],
            weight=weight,
            options={"kind": divergence, "beta": beta, "temperature": temperature},
        ),
        label_weight=label_weight,
    )
