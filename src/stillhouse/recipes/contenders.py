"""The methods of a comparison as arms of a study: names, settings, or all of the catalogue."""

from collections.abc import Mapping, Sequence
from typing import Any

from stillhouse.errors import nearest
from stillhouse.methods import METHODS
from stillhouse.recipes.choices import is_own
from stillhouse.recipes.sweep import arm_name

ALL = "all"
CONTROL = "plain"

TUNED_KD: Sequence[Mapping[str, Any]] = (
    {"name": "kd", "weight": 3.0, "label_weight": 0.1},
    {"name": "kd", "weight": 9.0, "label_weight": 0.1},
    {"name": "kd", "temperature": 2.0, "weight": 3.0, "label_weight": 0.1},
    {"name": "kd", "temperature": 2.0, "weight": 9.0, "label_weight": 0.1},
)
"""Settings of plain KD beside its default (weight 0.9, temperature 4): the range in which the
authors of logit standardisation tuned it, where everybody's default is not the best."""


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
