"""Types of the settings of methods: their signatures are the schema of a recipe."""

import functools
import inspect
from collections.abc import Callable
from numbers import Real
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le

from stillhouse.errors import RecipeError, nearest

Positive = Annotated[float, Gt(0)]
"""A number above 0, such as a temperature."""

Weight = Annotated[float, Ge(0)]
"""A weight of a term: 0 switches it off."""

Share = Annotated[float, Ge(0), Le(1)]
"""A number in 0..1, such as the alpha of a mixture."""

P = ParamSpec("P")
R = TypeVar("R")


def checked(build: Callable[P, R]) -> Callable[P, R]:
    """A method that checks its settings against their types when it is called, as a recipe does.

    Raises:
        RecipeError: with all settings that are out of range, or not among the choices.

    >>> @checked
    ... def mine(student, *, alpha: Share = 0.5, form: Literal["code", "paper"] = "code"): ...
    >>> mine(None, alpha=1.5, form="papr")
    Traceback (most recent call last):
    ...
    stillhouse.errors.RecipeError: method 'mine' has 2 problems:
      - alpha is 1.5; it must be at most 1
      - form is 'papr'; nearest: paper
    """
    signature = inspect.signature(build)

    @functools.wraps(build)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        hints = get_type_hints(build, include_extras=True)
        asked = [(name, hints.get(name), value) for name, value in given.items()]
        problems = [f"{n} is {v!r}; {p}" for n, hint, v in asked if (p := _problem(hint, v))]
        if problems:
            raise RecipeError(f"method '{build.__name__}'", problems)
        return build(*args, **kwargs)

    return call


def _problem(hint: Any, value: Any) -> str | None:
    """Why a value does not fit its type; None when it does."""
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return None if value in choices else nearest(str(value), choices)
    bounds = getattr(hint, "__metadata__", ())
    if any(isinstance(bound, Gt | Ge | Le) for bound in bounds) and not isinstance(value, Real):
        return f"it must be a number, not {value!r}"
    for bound in bounds:
        if isinstance(bound, Gt) and not value > bound.gt:
            return f"it must be above {bound.gt}"
        if isinstance(bound, Ge) and not value >= bound.ge:
            return f"it must be at least {bound.ge}"
        if isinstance(bound, Le) and not value <= bound.le:
            return f"it must be at most {bound.le}"
    return None
