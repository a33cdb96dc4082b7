"""A sweep: the product of some settings as arms, each named by its settings."""

import itertools
from collections.abc import Mapping
from typing import Any

from stillhouse.recipes.merge import CHOSEN_BY

Settings = dict[str, Any]


def sweep_arms(sweep: Any) -> tuple[dict[str, Settings], list[str]]:
    """The arms of a sweep, by name, and what is wrong with it.

    Args:
        sweep: a mapping of dotted keys to lists of values, whose product is taken; or a list of
            such mappings, each with a product of its own, for settings that go together. A value
            that is no list is the same in the whole product.

    >>> arms, wrong = sweep_arms({"method.distance": ["l2", "log_sum"], "epochs": [5]})
    >>> list(arms), wrong
    (['distance=l2, epochs=5', 'distance=log_sum, epochs=5'], [])
    """
    grids = sweep if isinstance(sweep, list) else [sweep]
    arms: dict[str, Settings] = {}
    problems = []
    for grid in grids:
        if not isinstance(grid, Mapping) or not grid:
            problems.append(
                f"sweep: {grid!r} is no mapping of settings to lists of values, such as "
                "method.alpha: [0.5, 1]"
            )
            continue
        problems += [f"sweep.{key}: the list is empty; give it values" for key in _empty(grid)]
        for settings in _product(grid):
            name = arm_name(settings)
            if name in arms:
                problems.append(f"sweep: '{name}' comes twice; leave one out")
            arms[name] = settings
    return arms, problems


def _empty(grid: Mapping[str, Any]) -> list[str]:
    return [key for key, values in grid.items() if isinstance(values, list) and not values]


def _product(grid: Mapping[str, Any]) -> list[Settings]:
    values = [each if isinstance(each, list) else [each] for each in grid.values()]
    keys = [str(key) for key in grid]
    return [dict(zip(keys, chosen, strict=True)) for chosen in itertools.product(*values)]


def arm_name(settings: Mapping[str, Any]) -> str:
    """Settings in a line, by the last parts of their keys where these are not the same.

    >>> arm_name({"method.alpha": 0.5, "teacher.model": "resnet20"})
    'alpha=0.5, teacher=resnet20'
    >>> arm_name({"teacher.epochs": 5, "student.epochs": 3})
    'teacher.epochs=5, student.epochs=3'
    """
    short = {key: _short(key) for key in settings}
    words = [word if list(short.values()).count(word) == 1 else key for key, word in short.items()]
    return ", ".join(
        f"{word}={_said(value)}" for word, value in zip(words, settings.values(), strict=True)
    )


def _short(key: str) -> str:
    *above, last = key.split(".")
    return above[-1] if above and last in CHOSEN_BY else last


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        names = [str(value[key]) for key in CHOSEN_BY if key in value]
        rest = [f"{key}={_said(each)}" for key, each in value.items() if key not in CHOSEN_BY]
        return "(" + " ".join([*names, *rest]) + ")"
    if isinstance(value, list):
        return "[" + " ".join(map(_said, value)) + "]"
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
