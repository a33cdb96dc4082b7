"""Every number of a recipe has a range: what is out of it is refused, with its key, when read."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

import pytest
from pydantic import BaseModel, Tag

from stillhouse.errors import RecipeError
from stillhouse.recipes import Recipe, make_recipe, resolved
from stillhouse.recipes.section import wants_number

HOSTILE: tuple[Any, ...] = (
    math.nan, math.inf, -math.inf, -1, -1e308, 0, 1e308, 10**30, "many", "nan", "1e999", [], [[1]],
    [math.nan], [0, -1, math.inf], {}, {"a": 1}, None, True, "",
)  # fmt: skip
BASE: dict[str, Any] = {
    "data": {"source": "digits"},
    "teacher": {"model": "resnet20"},
    "student": {"model": "resnet8"},
}
NEEDED = {"count": 10, "ratio": 0.5, "weights": "w.pt", "source": "digits"}
ALSO: dict[str, dict[str, Any]] = {
    "LowRankSection": {"ratio": 0.5},
    "TeacherSection": {"model": "resnet14"},
    "InputSection": {"mean": [0.5], "std": [0.5]},
    "UntilSection": {"metric": "accuracy", "value": 0.5},
    "multi_step": {"milestones": [10]},
    "step": {"every": 10},
}
"""What a section wants beside what it must have."""
DEEPEST = 3
"""Keys inside each other: a teacher's teacher is like a teacher."""
FEW = 60


def options(annotation: Any) -> list[type[BaseModel]]:
    """The sections behind the annotation of a field."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [each for inner in get_args(annotation) if not isinstance(inner, Tag)
            for each in options(inner)]  # fmt: skip


def fields(
    section: type[BaseModel] = Recipe, path: tuple[str, ...] = (), above: Mapping[str, Any] = BASE
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every field that takes numbers: its keys, and the recipe around it."""
    for name, field in section.model_fields.items():
        here = (*path, name)
        if wants_number(field):
            yield here, above
        if len(here) >= DEEPEST:
            continue
        for inner in options(field.annotation):
            if name in ("members", "peers") or here == ("teacher", "teacher"):
                continue  # further networks, as those that are looked at
            yield from fields(inner, here, with_value(above, here, filled(inner)))


def filled(section: type[BaseModel]) -> dict[str, Any]:
    """What a section cannot be without."""
    found: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        if not field.is_required():
            continue
        words = [each for each in get_args(field.annotation) if isinstance(each, str)]
        found[name] = words[0] if words else NEEDED.get(name, "resnet14")
    return {**found, **ALSO.get(section.__name__, {})}


def with_value(values: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {**values, head: value}
    inner = values.get(head)
    return {**values, head: with_value(inner if isinstance(inner, dict) else {}, (*rest,), value)}


@cache
def pairs() -> list[tuple[tuple[str, ...], Any, dict[str, Any]]]:
    """Every field with every hostile value, shuffled by a seed."""
    found = [(path, value, with_value(above, path, value))
             for (path, above), value in itertools.product(fields(), HOSTILE)]  # fmt: skip
    random.Random(0).shuffle(found)
    return found


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from numbers(each)
    elif isinstance(value, int | float):
        yield float(value)


def check(path: tuple[str, ...], value: Any, values: dict[str, Any]) -> str | None:
    """What is wrong with how a value of a field was taken; None when nothing is."""
    key = ".".join(path)
    try:
        recipe = make_recipe(values)
    except RecipeError as error:
        section = ".".join(
            path[:-1]
        )  # at fault where the value is fine, and another one is missing
        named = key in str(error) or (section and section in str(error))
        named = named or f"{path[0]}: " in str(error)
        return None if named else f"{key} = {value!r}: refused without its key: {error}"
    except Exception as error:
        return f"{key} = {value!r}: {type(error).__name__}: {error}"
    strange = [each for each in numbers(resolved(recipe)) if not abs(each) < 3.4e38]
    return f"{key} = {value!r}: accepted as {strange}" if strange else None


def test_hostile_values_are_refused_with_their_key() -> None:
    assert [found for each in pairs()[:FEW] if (found := check(*each))] == []


@pytest.mark.slow
def test_all_of_them_are() -> None:
    assert [found for each in pairs() if (found := check(*each))] == []


def test_the_walk_comes_by_every_section() -> None:
    found = {".".join(path) for path, _ in fields()}
    known = {"epochs", "seeds", "optimizer.lr", "schedule.milestones", "data.augment.crop",
             "teacher.until.epoch", "transfer.method.steps", "student.input.mean",
             "method.temperature", "balance.share", "cache.top"}  # fmt: skip
    assert known <= found
