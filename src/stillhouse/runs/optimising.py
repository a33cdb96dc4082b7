"""Optimiser and schedule of a recipe, as the engine's factories and as part of an identity."""

from typing import Any

from stillhouse.engine.optimisers import OptimizerFactory, ScheduleFactory
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
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


def budget_identity(recipe: Recipe, settings: Settings, platform: Platform) -> dict[str, Any]:
    """What of budget, rules and platform decides the weights of a stage."""
    until = {"epoch": settings.until_epoch, "accuracy": settings.until_metric}
    return {
        **({} if set(until.values()) == {None} else {"until": until}),
        "seed": settings.seed,
        "epochs": settings.epochs,
        "optimizer": recipe.optimizer.model_dump(),
        "schedule": recipe.schedule.model_dump(),
        "accumulate": settings.accumulate,
        "clip": settings.clip,
        "compile": settings.compile,
        "precision": platform.precision,
        "device": platform.device.type,
        "processes": platform.world,
    }
