"""Types of settings, and functions that check theirs: a signature is the schema of a recipe."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from annotated_types import Ge, Gt, Le, Lt, MinLen

from stillhouse.errors import RecipeError, nearest

Positive = Annotated[float, Gt(0)]
"""A number above 0, such as a temperature."""

Weight = Annotated[float, Ge(0)]
"""A weight of a term: 0 switches it off."""

Share = Annotated[float, Ge(0), Le(1)]
"""A number in 0..1, such as the alpha of a mixture."""

Decay = Annotated[float, Ge(0), Lt(1)]
"""What stays of a moving average in a step, such as momentum."""

Count = Annotated[int, Ge(1), Le(1_000_000_000)]
"""How many of something; far more than can be waited for is a slip."""

Width = Annotated[int, Ge(1), Le(65_536)]
"""Of a layer that is made here; one that is wider fits into no memory."""

Classes = Annotated[int, Ge(1), Le(10_000_000)]
"""How many classes a network tells apart; the largest public label sets have some 100,000."""

Side = Annotated[int, Ge(1), Le(8192)]
"""The side of an image in pixels, or its channels."""

Epochs = Annotated[int, Ge(1), Le(1_000_000)]
"""Passes over the training data."""

Seed = Annotated[int, Ge(0), Lt(1 << 32)]
"""A seed; those of networks that learn beside it are counted from it."""

LARGEST = 3.4e38
"""What single precision holds; a setting beyond becomes inf in a formula."""

P = ParamSpec("P")
R = TypeVar("R")


def checked_as(kind: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function that checks its settings against their types when it is called, as a recipe does.

    Args:
        kind: what messages call it.

    Raises:
        RecipeError: (the function) with all settings that are out of range, not among the choices,
            or unknown.

    >>> @checked_as("schedule")
    ... def stays(*, warmup: Weight = 0.0): ...
    >>> stays(warmup=float("nan"))
    Traceback (most recent call last):
    ...
    stillhouse.errors.RecipeError: schedule 'stays': warmup is nan; it must be a finite number
    """

    def decorate(build: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(build)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                given = inspect.signature(build).bind(*args, **kwargs).arguments
            except TypeError as error:
                raise RecipeError(f"{kind} '{build.__name__}'", [str(error)]) from None
            problems = misfits(build, given)
            if problems:
                raise RecipeError(f"{kind} '{build.__name__}'", problems)
            return build(*args, **kwargs)

        return call

    return decorate


def misfits(build: Callable[..., Any], given: Mapping[str, Any]) -> list[str]:
    """What to say of arguments that do not fit the types of a function, one sentence each.

    >>> def mine(*, alpha: Share = 0.5): ...
    >>> misfits(mine, {"alpha": 1.5})
    ['alpha is 1.5; it must be at most 1']
    """
    hints = get_type_hints(build, include_extras=True)
    found = ((name, value, misfit(hints.get(name), value)) for name, value in given.items())
    return [f"{name} is {value!r}; {problem}" for name, value, problem in found if problem]


def misfit(hint: Any, value: Any) -> str | None:
    """Why a value does not fit the type of a setting; None when it does.

    Numbers, words, truth values, and tuples of them are looked at; other types are not.

    >>> misfit(Positive, 0.0), misfit(Positive | None, None), misfit(Count, 1.5)
    ('it must be above 0', None, 'it must be a whole number')
    """
    kind, bounds = _parted(hint)
    origin = get_origin(kind)
    if origin is Literal:
        choices = get_args(kind)
        return None if _among(value, choices) else nearest(str(value), map(str, choices))
    if origin in (Union, UnionType):
        options = [each for each in get_args(kind) if each is not NoneType]
        if value is None and len(options) < len(get_args(kind)):
            return None
        found = [misfit(each, value) for each in options]
        return None if None in found else found[0]
    if origin is tuple:
        least = max((bound.min_length for bound in bounds if isinstance(bound, MinLen)), default=0)
        return _misfit_of_each(get_args(kind), least, value)
    if kind is bool and not isinstance(value, bool):
        return "it must be true or false"
    return _out_of_range(kind, bounds, value) if kind in (int, float) else None


def _parted(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(hint) is Annotated:
        return get_args(hint)[0], get_args(hint)[1:]
    return hint, ()


def _among(value: Any, choices: Sequence[Any]) -> bool:
    return any(type(value) is type(each) and value == each for each in choices)


def _misfit_of_each(kinds: tuple[Any, ...], least: int, value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "it must be a list"
    if len(value) < least:
        return f"it must be at least {least}"
    if kinds[1:] == (...,):
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        return f"it must be {len(kinds)} of them"
    found = zip(kinds, value, strict=True)
    return next((said for kind, each in found if (said := misfit(kind, each))), None)


def _out_of_range(kind: type, bounds: Sequence[Any], value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return f"it must be a number, not {value!r}"
    if kind is int and not isinstance(value, Integral):
        return "it must be a whole number"
    number: Any = value  # of any kind of number
    if not math.isfinite(number) or abs(number) > LARGEST:
        return "it must be a finite number"
    for bound in bounds:
        if isinstance(bound, Gt) and not number > bound.gt:
            return f"it must be above {bound.gt}"
        if isinstance(bound, Ge) and not number >= bound.ge:
            return f"it must be at least {bound.ge}"
        if isinstance(bound, Lt) and not number < bound.lt:
            return f"it must be below {bound.lt}"
        if isinstance(bound, Le) and not number <= bound.le:
            return f"it must be at most {bound.le}"
    return None
