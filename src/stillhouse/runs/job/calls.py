"""Arguments of a call from Python that are missing, misspelt or given by place, in a sentence."""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from stillhouse.errors import RecipeError, nearest
from stillhouse.recipes.schema import Recipe

P = ParamSpec("P")
R = TypeVar("R")


def by_name(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse a call whose arguments are not those of the function, before it begins.

    Args:
        function: takes its arguments by name, but perhaps the first; one that takes any more looks
            at these itself.

    Raises:
        RecipeError: which argument is missing, not known, or given by place.
    """
    name = function.__name__
    parameters = inspect.signature(function).parameters

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        problem = _by_place(parameters, args) or _wrong(parameters, args, kwargs)
        if problem:
            raise RecipeError(name, [problem])
        return function(*args, **kwargs)

    return call


def _by_place(parameters: Mapping[str, inspect.Parameter], args: tuple[Any, ...]) -> str | None:
    places = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(args) <= len(places):
        return None
    first = next(n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY)
    return f"arguments have names, such as {first}=...; {len(args) - len(places)} came without one"


def _wrong(
    parameters: Mapping[str, inspect.Parameter],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> str | None:
    known = [n for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    needed = [n for n in known if parameters[n].default is inspect.Parameter.empty]
    missing = [n for n in needed[len(args) :] if n not in kwargs]
    unknown = [key for key in kwargs if key not in known]
    if missing:
        alike = get_close_matches(missing[0], unknown, n=1)
        instead = f", and there is no argument '{alike[0]}'" if alike else ""
        return f"{missing[0]} is missing{instead}; it needs {_and([f'{each}=' for each in needed])}"
    if not unknown or len(known) < len(parameters):  # it looks at the others itself
        return None
    if unknown[0] in Recipe.model_fields:
        return f"there is no argument '{unknown[0]}': it is a key of the recipe; give it there"
    return f"there is no argument '{unknown[0]}'; {nearest(unknown[0], known)}"


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
