"""Optimiser and schedule of a recipe, as the engine's factories."""

from typing import Any

from stillhouse.engine.optimisers import OptimizerFactory, ScheduleFactory
from stillhouse.recipes.schema import OPTIMIZERS, SCHEDULES, Recipe


def _call(functions: tuple[Any, ...], choice: Any) -> Any:
    by_name = {function.__name__: function for function in functions}
    return by_name[choice.name](**choice.settings())


def chosen_optimizer(recipe: Recipe) -> OptimizerFactory:
    """The recipe's optimiser."""
    made: OptimizerFactory = _call(OPTIMIZERS, recipe.optimizer)
    return made


def chosen_schedule(recipe: Recipe) -> ScheduleFactory:
    """The recipe's schedule."""
    made: ScheduleFactory = _call(SCHEDULES, recipe.schedule)
    return made
