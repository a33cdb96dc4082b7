"""The method, the optimiser and the schedule of a recipe, as functions; a method may be your own.

A method of the user's own is a function that gives a Stage, in place of one of the catalogue.
"""

import inspect
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from stillhouse.engine.optimisers import OPTIMIZERS, OptimizerFactory
from stillhouse.engine.schedules import SCHEDULES, ScheduleFactory
from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError, nearest
from stillhouse.methods import Method, find_method
from stillhouse.recipes.choices import OwnChoice, choice_of
from stillhouse.recipes.schema import Recipe
from stillhouse.records.own_code import imported
from stillhouse.tasks import TASKS, Task


def chosen_method(
    recipe: Recipe, source: Callable[..., Stage] | None, *, allow_imports: bool
) -> Method:
    """The recipe's method: of the catalogue, given as a function, or imported.

    Raises:
        RecipeError: one's own is no function of a student, its settings are not in its signature,
            or it needs what the recipe has not.
        ModelError: it cannot be imported.
    """
    section = recipe.method
    if not isinstance(section, OwnChoice):
        return find_method(section.name)
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


def chosen_task(recipe: Recipe, source: Task | None = None, *, allow_imports: bool) -> Task:
    """The recipe's task: of the catalogue, given as an object, or imported.

    Raises:
        RecipeError: what is imported is no task, or importing is not allowed.
        ModelError: it cannot be imported.
    """
    if source is not None:
        return source
    section = recipe.task
    if not isinstance(section, OwnChoice):
        made: Task = _call(TASKS, section)
        return made
    found = imported(section.name, allow=allow_imports)
    makes = inspect.isclass(found) or inspect.isfunction(found)
    task = found(**section.settings()) if makes else found
    if not isinstance(task, Task):
        said = f"'{section.name}' is a {type(task).__name__}; give a stillhouse.Task"
        raise RecipeError("task", [said])
    return task


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


def chosen_optimizer(recipe: Recipe) -> OptimizerFactory:
    """The recipe's optimiser."""
    made: OptimizerFactory = _call(OPTIMIZERS, recipe.optimizer)
    return made


def chosen_schedule(recipe: Recipe) -> ScheduleFactory:
    """The recipe's schedule."""
    made: ScheduleFactory = _call(SCHEDULES, recipe.schedule)
    return made


def _call(functions: tuple[Any, ...], choice: Any) -> Any:
    by_name = {function.__name__: function for function in functions}
    return by_name[choice.name](**choice.settings())
