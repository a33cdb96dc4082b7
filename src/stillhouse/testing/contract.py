"""A broken promise, and how it is told."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from stillhouse.errors import StillhouseError


class ContractError(StillhouseError, AssertionError):
    """A loss or a method breaks a promise; also an AssertionError, so that tests show it as one.

    Args:
        who: the member, such as ``loss 'kl'``.
        promise: the name of the promise in the list of the check.
        problem: what was found, and what to do.

    >>> print(ContractError("loss 'mine'", "finite", "nan at zero; add an epsilon"))
    loss 'mine' breaks the promise 'finite': nan at zero; add an epsilon
    """

    def __init__(self, who: str, promise: str, problem: str) -> None:
        self.who = who
        self.promise = promise
        self.problem = problem
        super().__init__(f"{who} breaks the promise '{promise}': {problem}")


def name_of(member: object) -> str:
    """The name of a function, a class or an instance.

    >>> name_of(len), name_of(ContractError)
    ('len', 'ContractError')
    """
    return str(getattr(member, "__name__", type(member).__name__))


def told(error: BaseException) -> str:
    """An error in a line: our own messages whole, of others the kind and the first line.

    >>> told(ValueError("bad")), told(StillhouseError("bad"))
    ('ValueError: bad', 'bad')
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, StillhouseError):
        return " ".join(lines)
    return ": ".join([type(error).__name__, *lines[:1]])


def positional(call: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters that may be given by position.

    >>> list(positional(lambda student, teacher, *, temperature=4.0: None))
    ['student', 'teacher']
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = inspect.signature(call).parameters
    return {name: p for name, p in found.items() if p.kind in kinds}


def may_be_left_out(parameter: inspect.Parameter) -> bool:
    """Whether it is a tensor that a caller may have or not: no setting, and no input of each call.

    >>> from torch import Tensor
    >>> def gap(student: Tensor, content: Tensor | None = None, power: float = 2.0): ...
    >>> [may_be_left_out(each) for each in positional(gap).values()]
    [False, True, False]
    """
    return parameter.default is None and "Tensor" in str(parameter.annotation)


def setting_problem(
    call: Callable[..., Any], options: Mapping[str, Any], inputs: Collection[str] = ()
) -> str | None:
    """Settings must be keyword-only and have defaults; None when they are so.

    Args:
        call: the function.
        options: settings that are given.
        inputs: positional parameters that are no settings whatever they look like.

    >>> setting_problem(lambda s, t, temperature=4.0: None, {})
    "'temperature' can be given by position; write it after a * so that it is keyword-only"
    """
    plain = (bool, float, int, str, "bool", "float", "int", "str")
    for name, p in positional(call).items():
        if name in inputs or may_be_left_out(p):
            continue
        if p.default is not p.empty or p.annotation in plain:
            return (
                f"'{name}' can be given by position; write it after a * so that it is keyword-only"
            )
    for name, p in inspect.signature(call).parameters.items():
        if p.kind is p.KEYWORD_ONLY and p.default is p.empty and name not in options:
            return f"'{name}' has no default; give it one, or pass options={{'{name}': ...}}"
    return None
