"""Arms of a study: the product of a sweep, and a list of methods."""

import itertools
from collections.abc import Mapping
from typing import Any

from stillhouse.errors import nearest
from stillhouse.methods import METHODS
from stillhouse.recipes.choices import is_own
from stillhouse.recipes.merge import CHOSEN_BY
from stillhouse.recipes.tuning import TUNED_KD as TUNED_KD

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


ALL = "all"
CONTROL = "plain"


def method_arms(methods: Any, *, teacher: bool) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Arms of a list of methods, and what is wrong with it.

    Args:
        methods: names, mappings with ``name`` and settings, or 'all'.
        teacher: whether there is a teacher; without one 'all' leaves out methods that need one.

    >>> method_arms(["dkd", {"name": "kd", "weight": 3.0}], teacher=True)[0]
    {'dkd': {'method': {'name': 'dkd'}}, 'kd weight=3.0': {'method': {'name': 'kd', 'weight': 3.0}}}
    >>> method_arms(["plain"], teacher=True)[1]
    ["methods: 'plain' is the control, which every arm has; leave it out"]
    """
    if methods == ALL:
        methods = all_methods(teacher=teacher)
    if not isinstance(methods, list | tuple) or not methods:
        return {}, [f"methods is {methods!r}; give a list such as [kd, dkd], or '{ALL}'"]
    arms: dict[str, dict[str, Any]] = {}
    problems = []
    for each in methods:
        asked = {"name": each} if isinstance(each, str) else each
        problem = _problem(asked)
        if problem:
            problems.append(f"methods: {problem}")
            continue
        name = contender_name(asked)
        if name in arms:
            problems.append(f"methods: '{name}' is there twice; leave one out")
        arms[name] = {"method": dict(asked)}
    return arms, problems


def all_methods(*, teacher: bool) -> list[str]:
    """Names of the catalogue without the control; without a teacher those that need none.

    >>> "kd" in all_methods(teacher=False), "kd" in all_methods(teacher=True)
    (False, True)
    """
    known = [each for each in METHODS if teacher or not each.needs_teacher]
    return [each.name for each in known if each.name != CONTROL]


def contender_name(method: Mapping[str, Any]) -> str:
    """A method with its settings, in a line.

    >>> contender_name({"name": "kd", "temperature": 2.0, "weight": 3.0})
    'kd temperature=2.0, weight=3.0'
    """
    rest = {key: value for key, value in method.items() if key != "name"}
    return f"{method['name']} {arm_name(rest)}".strip()


def _problem(asked: Any) -> str | None:
    if not isinstance(asked, Mapping) or not isinstance(asked.get("name"), str):
        return f"{asked!r} is no method; write kd, or {{name: kd, weight: 3}}"
    names = [method.name for method in METHODS]
    if asked["name"] not in names and not is_own(asked["name"]):
        return f"no method '{asked['name']}'; {nearest(asked['name'], names)}"
    if asked["name"] == CONTROL:
        return f"'{CONTROL}' is the control, which every arm has; leave it out"
    return None
