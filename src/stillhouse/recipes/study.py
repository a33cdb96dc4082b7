"""The study: one recipe file that compares many arms under one budget.

An ordinary recipe with ``arms`` (name -> what differs), ``methods`` (a list of methods, or 'all'),
``sweep`` (settings -> lists of values), or several of them: their arms stand beside each other.
``against`` names the arm that the others are compared with, beside their control; of several names
the one that is best on validation. ``claims`` names the arms that the study was made for: their
comparisons are corrected by themselves. ``axis`` says what the figure has on its x axis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import RecipeError, nearest
from stillhouse.recipes.arms import method_arms, sweep_arms
from stillhouse.recipes.load import make_recipe, read_setting, read_yaml
from stillhouse.recipes.merge import arm_values, expanded, flat, merged, named
from stillhouse.recipes.plain import plain_values
from stillhouse.recipes.schema import Recipe, resolved

ARMS, METHODS, SWEEP = "arms", "methods", "sweep"
OWN_KEYS = ("title", ARMS, METHODS, SWEEP, "against", "claims", "axis")
TEACHER_AXIS = "teacher"


@dataclass(frozen=True)
class Study:
    """Arms that are compared.

    Args:
        title: in a line.
        arms: the recipe of each arm, by name.
        settings: what each arm says of its own, as dotted keys.
        rivals: the arms of which the best on validation is compared with all others; or none.
        claims: arms whose comparisons are corrected by themselves; or none.
        axis: 'teacher' (its test metric) or a dotted key, or None.
        swept: the dotted keys of the sweep.
        values: the study as it was written, with overrides.
    """

    title: str
    arms: Mapping[str, Recipe]
    settings: Mapping[str, Mapping[str, Any]]
    rivals: tuple[str, ...]
    claims: tuple[str, ...]
    axis: str | None
    swept: tuple[str, ...]
    values: Mapping[str, Any]

    @property
    def against(self) -> str | None:
        """The arm that the others are compared with; None without one, or before it is known."""
        return self.rivals[0] if len(self.rivals) == 1 else None

    @property
    def margin(self) -> float | None:
        """A difference that does not matter, in the unit of the metric's differences."""
        return next(iter(self.arms.values())).verdict.margin

    def axis_value(self, arm: str) -> Any:
        """Where an arm stands on an axis that is a setting; None where it has no such setting."""
        if self.axis is None or self.axis == TEACHER_AXIS:
            return None
        return flat(resolved(self.arms[arm])).get(self.axis)


def is_study(values: Mapping[str, Any]) -> bool:
    """Whether a recipe is a study.

    >>> is_study({"data": "digits"}), is_study({"data": "digits", "sweep": {"epochs": [1, 2]}})
    (False, True)
    """
    return any(key in values for key in (ARMS, METHODS, SWEEP))


def load_study(path: Path, settings: Sequence[str] = ()) -> Study:
    """A study from a file, with overrides."""
    return make_study(override_study(read_yaml(path), settings), where=str(path))


def override_study(values: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Apply ``key=value`` to the common part, ``arms.NAME.key=value`` to an arm.

    >>> override_study({"arms": {"kd 1.5": {"method": "kd"}}}, ["arms.kd 1.5.epochs=2", "batch=8"])
    {'arms': {'kd 1.5': {'method': 'kd', 'epochs': 2}}, 'batch': 8}
    """
    result = dict(values)
    for setting in settings:
        key, value = read_setting(setting)
        head, _, rest = key.partition(".")
        if head in OWN_KEYS and not rest:
            result[head] = value
        elif head == ARMS:
            result[ARMS] = _with_setting(result.get(ARMS), rest, value)
        elif head == SWEEP and isinstance(result.get(SWEEP, {}), Mapping):
            result[SWEEP] = {**result.get(SWEEP, {}), rest: value}
        elif head in OWN_KEYS:
            raise RecipeError("--set", [f"'{key}' cannot be reached; give the whole of '{head}'"])
        else:
            result = merged(_expanded_at(result, head), expanded({key: value}))
    return result


def _expanded_at(values: Mapping[str, Any], head: str) -> dict[str, Any]:
    """The values with dotted keys, bare words and the default's name of one section written out."""
    here = {key: each for key, each in values.items() if str(key).split(".")[0] == head}
    return {key: each for key, each in values.items() if key not in here} | named(expanded(here))


def _with_setting(arms: Any, dotted: str, value: Any) -> dict[Any, Any]:
    """The arms with one setting more; a name may hold dots, so the longest that fits is meant."""
    arms = arms if isinstance(arms, Mapping) else {}
    known = {str(name): name for name in arms}
    fits = [name for name in known if dotted.startswith(f"{name}.") or dotted == name]
    if not fits:
        near = nearest(dotted.split(".")[0], known)
        raise RecipeError("--set", [f"'arms.{dotted}' names no arm; {near}"])
    name = max(fits, key=len)
    if dotted == name:
        return {**arms, known[name]: value}
    own, key = dict(arms[known[name]] or {}), dotted[len(name) + 1 :]
    own.pop(key, None)  # so that it comes last, and wins
    return {**arms, known[name]: {**own, key: value}}


def make_study(values: Mapping[str, Any], *, where: str = "study") -> Study:
    """Check plain data: every arm is an ordinary recipe.

    Raises:
        RecipeError: with the problems of all arms, each with the arm's name.
    """
    values = plain_values(values, where=where)
    common = {key: value for key, value in values.items() if key not in OWN_KEYS}
    own, problems = _own_values(values)
    recipes: dict[str, Recipe] = {}
    found: dict[str, Sequence[str]] = {}
    for name, each in own.items():
        try:
            recipes[name] = make_recipe(arm_values(common, each))
        except RecipeError as error:
            found[name] = error.problems
    problems += by_arm(found, of=len(own))
    problems += _twins(recipes)
    problems += _references(values, recipes, own)
    if problems:
        raise RecipeError(where, problems)
    return Study(
        title=str(values.get("title") or _title(recipes)),
        arms=recipes,
        settings={name: flat(expanded(each)) for name, each in own.items()},
        rivals=_names(values, "against"),
        claims=_names(values, "claims"),
        axis=values.get("axis"),
        swept=_swept(values.get(SWEEP)),
        values=dict(values),
    )


def _own_values(values: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What each arm says of its own, and what is wrong with the two sections."""
    problems, own = [], {}
    arms = values.get(ARMS)
    if arms is not None and not isinstance(arms, Mapping):
        problems.append("arms: give a mapping of names to what differs, such as kd: {method: kd}")
        arms = None
    for name, each in (arms or {}).items():
        if each is not None and not isinstance(each, Mapping):
            problems.append(f"arm '{name}' is {each!r}; give a mapping such as {{method: kd}}")
        own[str(name)] = dict(each) if isinstance(each, Mapping) else {}
    if values.get(METHODS) is not None:
        listed, wrong = method_arms(values[METHODS], teacher=values.get("teacher") is not None)
        problems += wrong
        problems += [f"methods: there is an arm '{name}' already" for name in listed if name in own]
        own |= listed
    if values.get(SWEEP) is not None:
        swept, wrong = sweep_arms(values[SWEEP])
        problems += wrong
        problems += [f"sweep: there is an arm '{name}' already" for name in swept if name in own]
        own |= swept
    if not own and not problems:
        problems.append("a study has arms, and this one has none; add arms:, methods: or sweep:")
    return own, problems


def by_arm(found: Mapping[str, Sequence[str]], *, of: int) -> list[str]:
    """Problems with the names of their arms; one that all have is said once.

    >>> by_arm({"a": ["no key 'x'"], "b": ["no key 'x'", "no data"]}, of=2)
    ["every arm: no key 'x'", "arm 'b': no data"]
    """
    everywhere = [
        problem
        for problem in dict.fromkeys(each for problems in found.values() for each in problems)
        if of > 1 and sum(problem in problems for problems in found.values()) == of
    ]
    said = [f"every arm: {problem}" for problem in everywhere]
    for name, problems in found.items():
        said += [f"arm '{name}': {each}" for each in problems if each not in everywhere]
    return said


def _twins(recipes: Mapping[str, Recipe]) -> list[str]:
    """Arms that are the same run; comparing them says nothing."""
    first: dict[str, str] = {}
    problems = []
    for name, recipe in recipes.items():
        other = first.setdefault(str(resolved(recipe)), name)
        if other != name:
            problems.append(f"arms '{other}' and '{name}' have equal settings; leave one out")
    return problems


def _references(
    values: Mapping[str, Any], recipes: Mapping[str, Recipe], own: Mapping[str, Any]
) -> list[str]:
    problems = []
    rivals, axis = _names(values, "against"), values.get("axis")
    for name in rivals:
        if name not in own:
            problems.append(f"against: there is no arm '{name}'; {nearest(name, own)}")
        elif len(rivals) > 1 and name in recipes and not recipes[name].data.validation:
            problems.append(
                f"against: the best of {len(rivals)} is chosen on validation data, and arm "
                f"'{name}' has none; name one arm, or give data.validation"
            )
    problems += [
        f"claims: there is no arm '{name}'; {nearest(name, own)}"
        for name in _names(values, "claims")
        if name not in own
    ]
    if len({recipe.verdict.margin for recipe in recipes.values()}) > 1:
        problems.append("verdict.margin: the arms have several; give one, beside arms")
    if not recipes or axis is None:
        return problems
    if not isinstance(axis, str):
        return [*problems, f"axis is {axis!r}; name one setting, such as method.weight, or teacher"]
    if axis == TEACHER_AXIS:
        if all(recipe.teacher is None for recipe in recipes.values()):
            problems.append("axis: teacher, and no arm has one; name a setting instead")
        return problems
    known = {key for recipe in recipes.values() for key in flat(resolved(recipe))}
    if axis not in known:
        options = [TEACHER_AXIS, *sorted(known)]
        problems.append(f"axis: no arm has a setting '{axis}'; {nearest(str(axis), options)}")
    return problems


def _names(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    given = values.get(key)
    names = given if isinstance(given, list | tuple) else [] if given is None else [given]
    return tuple(dict.fromkeys(str(name) for name in names))


def _swept(sweep: Any) -> tuple[str, ...]:
    grids = sweep if isinstance(sweep, list) else [sweep or {}]
    return tuple(dict.fromkeys(str(key) for grid in grids for key in grid))


def _title(recipes: Mapping[str, Recipe]) -> str:
    sources = dict.fromkeys(r.data.source.rstrip("/").rsplit("/", 1)[-1] for r in recipes.values())
    return f"{len(recipes)} arms on {', '.join(sources)}"
