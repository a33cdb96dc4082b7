"""The contract of a loss: a list of promises, each tried on small random tensors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from stillhouse.engine.signals import shape_text
from stillhouse.errors import nearest
from stillhouse.testing.contract import (
    ContractError,
    may_be_left_out,
    name_of,
    positional,
    setting_problem,
    told,
)
from stillhouse.testing.loss_promises import PROMISES
from stillhouse.testing.loss_trial import SHAPES, Kind, LossTrial, draw_inputs


def check_loss(
    loss: Callable[..., Tensor],
    *,
    kind: Kind = "logits",
    zero_at_equal: bool = False,
    minimal_at_equal: bool = False,
    detaches: bool = False,
    ordered: bool = False,
    options: Mapping[str, Any] | None = None,
    shape: Sequence[int] | None = None,
) -> None:
    """Put a loss to the contract; says nothing when it keeps all promises.

    The promises, in the order in which they are tried:

    - ``keyword-only``: settings are keyword-only and have defaults;
    - ``shape``: one value per example, [B], or one for the batch, [] (a relational loss), and the
      same kind for a batch of one;
    - ``inputs unchanged``: nothing is written into the inputs;
    - ``float32``: float32 inside and out, also for bfloat16 and float16 inputs;
    - ``finite``: value and gradient are finite at 1e4, at 0, at student == teacher, where two
      examples are equal (for the student only, and for all), and for a batch of one example;
    - ``at equal``: zero where student == teacher and nowhere negative, or minimal there (where
      claimed);
    - ``gradient``: it reaches the student and agrees with finite differences;
    - ``remembers``: a module's memory holds no graph, so a second step works;
    - ``permutation``: permuted examples give permuted values, or the same single value;
    - ``independent``: where it returns [B], an example changes its own value only;
    - ``related``: where it returns [], that is not just the mean or the sum of what each example
      gives alone;
    - ``compiles``: ``torch.compile(fullgraph=True)`` takes it whole and gives the same value and
      gradient.

    Args:
        loss: a function of tensors, learner first, or a module of that form (copies are tried, so
            that its memory stays as it is). A further input called ``label`` gets class indices,
            ``index`` the numbers of the samples, any other one a tensor like the teacher's; a
            tensor that may be None is left out.
        kind: what the first two inputs are: 'logits', 'features' (both float tensors), or 'labels'
            (logits and class indices).
        zero_at_equal: whether it claims to be zero where student == teacher.
        minimal_at_equal: whether it claims to be smallest there.
        detaches: part of it is held constant on purpose: finite differences are left out.
        ordered: it depends on the order of the examples on purpose: permutations are left out.
        options: keyword arguments of the loss.
        shape: of the student and the teacher, batch first; default: [6, 5] logits, [6, 8] features.

    Raises:
        ContractError: the first broken promise; ``.promise`` is its name.

    >>> from stillhouse.functional import kl
    >>> check_loss(kl, zero_at_equal=True, options={"temperature": 2.0})
    >>> try:
    ...     check_loss(lambda student, teacher: (student - teacher).square())
    ... except ContractError as error:
    ...     print(error.promise, "|", error.problem.partition(";")[0])
    shape | it gives [6, 5] for a batch of 6
    """
    given_loss: object = loss
    if not callable(given_loss):
        said = f"{loss!r} is no loss; give the function itself, or a module"
        raise ContractError("check_loss", "keyword-only", said)
    if kind not in SHAPES:
        said = f"kind is {kind!r}; {nearest(str(kind), SHAPES)}"
        raise ContractError("check_loss", "keyword-only", said)
    who, given = f"loss '{name_of(loss)}'", dict(options or {})
    body = loss.forward if isinstance(loss, nn.Module) else loss
    names = [name for name, each in positional(body).items() if not may_be_left_out(each)]
    problem = setting_problem(body, given, inputs=names[:2])
    if problem:
        raise ContractError(who, "keyword-only", problem)
    trial = LossTrial(
        loss,
        given,
        draw_inputs(names, kind, tuple(shape or SHAPES[kind])),
        zero=zero_at_equal,
        minimal=minimal_at_equal,
        detaches=detaches,
        ordered=ordered,
    )
    for promise, broken in PROMISES.items():
        try:
            problem = broken(trial)
        except Exception as error:
            shapes = ", ".join(shape_text(value) for value in trial.inputs)
            raise ContractError(who, promise, f"on {shapes}: {told(error)}") from error
        if problem:
            raise ContractError(who, promise, problem)
