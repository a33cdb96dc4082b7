"""A method of the user's own: a function that gives a Stage, in place of one of the catalogue."""

import inspect
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError, nearest
from stillhouse.methods import Method
from stillhouse.recipes.choices import OwnChoice, choice_of
from stillhouse.recipes.schema import Recipe
from stillhouse.runs.imports import imported


def own_method(
    recipe: Recipe, source: Callable[..., Stage] | None, *, allow_imports: bool
) -> Method | None:
    """The recipe's own method, given or imported; None where it is one of the catalogue.

    Raises:
        RecipeError: it is no function of a student, its settings are not in its signature, or it
            needs what the recipe has not.
        ModelError: it cannot be imported.
    """
    section = recipe.method
    if not isinstance(section, OwnChoice):
        return None
    build = source or imported(section.name, allow=allow_imports)
    if not inspect.isfunction(build):
        kind = type(build).__name__
        said = f"it is of type {kind}; give a function of a student that gives a Stage (settings "
        said += "go beside its name)"
        raise RecipeError(f"method '{section.name}'", [said])
    method = Method(build)
    problems = [*_setting_problems(method, section.settings()), *_lacks(method, recipe)]
    if problems:
        raise RecipeError(f"method '{section.name}'", problems)
    return method


def _setting_problems(method: Method, settings: dict[str, Any]) -> list[str]:
    known = method.settings
    strange = [f"there is no setting '{key}'; {nearest(key, known)}" for key in settings
               if key not in known]  # fmt: skip
    if strange:
        return strange
    try:
        choice_of(method.build)(name=method.name, **settings)
    except ValidationError as error:
        return [
            f"'{'.'.join(map(str, each['loc']))}': {each['msg'].removeprefix('Input ')}"
            for each in error.errors()
        ]
    return []


def _lacks(method: Method, recipe: Recipe) -> list[str]:
    problems = []
    if method.needs_teacher and recipe.teacher is None:
        problems.append("it takes a teacher; add teacher: MODEL")
    if method.needs_peers and not recipe.peers:
        problems.append("it takes peers; add peers: 1, or name them: [resnet20]")
    if recipe.peers and not method.needs_peers:
        problems.append("it takes no peers; leave peers out")
    return problems
