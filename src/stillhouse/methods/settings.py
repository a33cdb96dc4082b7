"""Types of the settings of methods: their signatures are the schema of a recipe."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from stillhouse.engine.settings import Count, Decay, Positive, Share, Weight, Width, misfits
from stillhouse.errors import RecipeError, nearest

__all__ = [
    "Count",
    "Decay",
    "Positive",
    "Share",
    "Weight",
    "Width",
    "checked",
    "unknown_settings",
]

P = ParamSpec("P")
R = TypeVar("R")


def checked(build: Callable[P, R]) -> Callable[P, R]:
    """A method that checks its settings against their types when it is called, as a recipe does.

    Raises:
        RecipeError: with all settings that are out of range, or not among the choices; that there
            are not; or with the networks that are missing.

    >>> from typing import Literal
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
        wrong = unknown_settings(build, kwargs) or _lacking(build, args, kwargs)
        if wrong:
            raise RecipeError(f"method '{build.__name__}'", wrong)
        given = signature.bind(*args, **kwargs).arguments
        problems = misfits(build, given)
        if problems:
            raise RecipeError(f"method '{build.__name__}'", problems)
        return build(*args, **kwargs)

    return call


def unknown_settings(build: Callable[..., Any], given: Iterable[str]) -> list[str]:
    """What to say of settings that a method has not, one sentence each.

    >>> def mine(student, *, temperature=4.0, alpha=0.5): ...
    >>> unknown_settings(mine, ["temprature", "alpha"])
    ["there is no setting 'temprature'; nearest: temperature"]
    """
    parameters = inspect.signature(build).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return []
    by_name = [each.name for each in parameters if each.kind is not each.POSITIONAL_ONLY]
    settings = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    return [
        f"there is no setting '{name}'; {nearest(name, settings)}"
        for name in given
        if name not in by_name
    ]


def _lacking(
    build: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[str]:
    """Which networks are missing, or too many; empty when all are there."""
    parameters = inspect.signature(build).parameters.values()
    networks = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    call = f"{build.__name__}({', '.join(networks)})"
    if len(args) > len(networks):
        said = f"it takes {len(networks)} networks and got {len(args)} values: {call}; settings go"
        return [f"{said} by name"]
    twice = [name for name in networks[: len(args)] if name in kwargs]
    if twice:
        return [f"'{twice[0]}' is given twice: {call}"]
    missing = [
        each.name
        for at, each in enumerate(parameters)
        if each.default is each.empty
        and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        and each.name not in kwargs
        and at >= len(args)
    ]
    return [f"it needs {' and '.join(missing)}: {call}"] if missing else []
