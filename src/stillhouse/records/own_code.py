"""Code of the user's own: it is given only what it accepts, and its faults are told as its own."""

import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any

from stillhouse.errors import ModelError, RecipeError, StillhouseError, nearest

IMPORT = "python:"
"""Before the place of a function of the user's own."""

_PLACE = re.compile(rf"(?={IMPORT}([\w.]+:[\w.]+)){IMPORT}[\w.]+:([\w.]+)")
_FOREIGN = tuple(
    str(Path(path).resolve())
    for path in (str(Path(__file__).parents[1]), *map(sysconfig.get_path, ("purelib", "stdlib")))
    if path
)
"""Where code is that the user did not write: this package, installed ones, Python's own."""


def said_by(error: BaseException) -> str:
    """An error of the user's code in a line: its kind, what it says, and where it was raised.

    >>> try:
    ...     int("x")
    ... except ValueError as error:
    ...     print(said_by(error).partition(" (")[0])
    ValueError: invalid literal for int() with base 10: 'x'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{said.partition(' (')[0]} ({Path(error.filename).name}:{error.lineno})"
    frames = extract_tb(error.__traceback__)
    own = [each for each in frames if _is_own(each.filename)]
    if not own:
        return said
    return f"{said} ({Path(own[-1].filename).name}:{own[-1].lineno})"


def called(text: str) -> str:
    """A title in which code of the user's own has its name alone, where that tells it from others.

    >>> called("python:mine.nets:large -> python:mine.nets:small on flowers by kd")
    'large -> small on flowers by kd'
    >>> called("python:large:net -> python:small:net by kd"), called("resnet8")
    ('python:large:net -> python:small:net by kd', 'resnet8')
    """
    places = dict(_PLACE.findall(text))
    if len(set(places.values())) < len(places):
        return text
    return _PLACE.sub(r"\2", text)


def _is_own(file: str) -> bool:
    if file.startswith("<"):  # typed in, or Python's own machinery
        return not file.startswith("<frozen")
    return not str(Path(file).resolve()).startswith(_FOREIGN)


def imported(name: str, *, allow: bool) -> Any:
    """What ``python:package.module:function`` names; the working directory is looked in, too.

    Raises:
        RecipeError: it is not allowed, or not of this form.
        ModelError: there is no such module, nothing of that name in it, or it fails itself; with
            the error of the user's code and its line.
    """
    path, colon, function = name.removeprefix(IMPORT).partition(":")
    if not allow:
        said = f"'{name}' runs Python code; allow it with --allow-imports"
        raise RecipeError("imports", [said])
    if not (colon and path and function):
        raise RecipeError("imports", [f"'{name}': write {IMPORT}PACKAGE.MODULE:FUNCTION"])
    here = os.getcwd()
    if here not in sys.path:  # a console script does not look there, `python -m` does
        sys.path.append(here)
    try:
        module = import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not (path == error.name or path.startswith(f"{error.name}.")):
            raise ModelError(f"'{name}' cannot be imported: {said_by(error)}") from error
        raise ModelError(
            f"'{name}' cannot be imported: there is no module '{error.name}' in {here} or among "
            "the installed packages"
        ) from error
    except (Exception, SystemExit) as error:
        raise ModelError(f"'{name}' cannot be imported: {said_by(error)}") from error
    found: Any = module
    for part in function.split("."):
        if not hasattr(found, part):
            there = [each for each, what in vars(found).items()
                     if callable(what) and not each.startswith("_")]  # fmt: skip
            raise ModelError(
                f"'{name}' cannot be imported: '{path}' has no '{part}'; {nearest(part, there)}"
            )
        found = getattr(found, part)
    return found


def accepted(function: Callable[..., Any], offers: Mapping[str, Any]) -> dict[str, Any]:
    """Of what is offered, what a function takes by name.

    One that takes ``**kwargs`` gets all that has no other name among its parameters. What
    `functools.partial` has set stays as it is.

    Args:
        function: any callable.
        offers: by name; names with equal values next to each other are names of one thing, of which
            ``**kwargs`` gets the first.

    >>> offers = {"classes": 10, "num_classes": 10, "channels": 3}
    >>> accepted(lambda num_classes, width=8: ..., offers), accepted(lambda **any: ..., offers)
    ({'num_classes': 10}, {'classes': 10, 'channels': 3})
    """
    try:
        known = inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C: it says nothing of what it takes
        return {}
    bound = {key for layer in _partials(function) for key in layer.keywords}
    by_name = [name for name, each in known.items()
               if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]  # fmt: skip
    taken = {name: offers[name] for name in by_name if name in offers and name not in bound}
    if any(each.kind is each.VAR_KEYWORD for each in known.values()):
        for first, *others in SYNONYMS:
            if first in offers and not ({first, *others} & {*by_name, *bound}):
                taken[first] = offers[first]
    return taken


SYNONYMS = (("classes", "num_classes", "n_classes"), ("channels", "in_channels", "in_chans"))
"""Names of one thing; the first is ours."""


def _partials(function: Any) -> list[Any]:
    found = []
    while hasattr(function, "func") and hasattr(function, "keywords"):
        found.append(function)
        function = function.func
    return found


def call_own(function: Callable[..., Any], name: str, offers: Mapping[str, Any]) -> Any:
    """Call a function of the user's own with what it accepts of the offers.

    Raises:
        ModelError: it needs something else, or fails; with its own error and line.
    """
    given = accepted(function, offers)
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        known = {}.values()
    lacking = [each.name for each in known
               if each.default is each.empty and each.name not in given
               and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]  # fmt: skip
    if lacking:
        raise ModelError(
            f"'{name}' needs {', '.join(lacking)}; a function that makes a network is called with "
            f"those of {', '.join(offers)} that it names; give the others a default"
        )
    try:
        return function(**given)
    except StillhouseError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"'{name}' failed: {said_by(error)}") from error
