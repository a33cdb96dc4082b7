"""tune: settings of the method of which the best on validation is taken."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from stillhouse.recipes.choices import Choice
from stillhouse.recipes.section import Section
from stillhouse.records.schema import first_problem

TUNED_KD: Sequence[Mapping[str, Any]] = (
    {"name": "kd", "weight": 3.0, "label_weight": 0.1},
    {"name": "kd", "weight": 9.0, "label_weight": 0.1},
    {"name": "kd", "temperature": 2.0, "weight": 3.0, "label_weight": 0.1},
    {"name": "kd", "temperature": 2.0, "weight": 9.0, "label_weight": 0.1},
)
"""Settings of plain KD beside its default (weight 0.9, temperature 4): the range in which the
authors of logit standardisation tuned it, where everybody's default is not the best."""

MOST = 100
"""Candidates: each is a training."""


class TuneSection(Section):
    """Which settings of the method are tried: ``tune: {temperature: [2, 4], weight: [0.9, 9]}``.

    ``tune: true`` stands for weights and temperatures of plain KD.
    """

    over: dict[str, list[Any]] = Field({})


def tune_words(value: Any) -> Any:
    """``true`` for what is usual; a mapping of settings to lists of values.

    >>> tune_words(True), tune_words({"weight": [1, 2]}), tune_words(False)
    ({}, {'over': {'weight': [1, 2]}}, None)
    """
    if value is True:
        return {}
    if value is False:
        return None
    if value is not None and not isinstance(value, Mapping | TuneSection):
        said = "say true, or list what is tried: {weight: [0.5, 1, 2]}"
        raise ValueError(f"it is {value!r}; {said}")
    if isinstance(value, Mapping) and "over" not in value:
        return {"over": dict(value)}
    return value


def tune_problems(
    method: Choice, tune: TuneSection | None, *, transfer: bool, balanced: bool
) -> Iterator[str]:
    """Why these settings cannot be tuned, a sentence each.

    Args:
        method, tune: of a recipe.
        transfer, balanced: whether it has a transfer set, and weights by gradients.
    """
    if tune is None:
        return
    if transfer:
        yield "tune: students on a transfer set have no validation rows to choose on"
    if not tune.over and method.name != "kd":
        yield (
            f"tune: what to try is known of kd alone; say what of '{method.name}', as in "
            "tune: {weight: [0.5, 1, 2]}"
        )
        return
    if balanced and (not tune.over or "weight" in tune.over):
        yield "tune: balance sets the weights by gradients; leave out one of both"
    empty = [key for key, values in tune.over.items() if not values]
    if empty:
        yield f"tune.{empty[0]}: the list is empty; give it values"
        return
    try:
        found = candidates(method, tune)
    except ValidationError as error:
        yield f"tune: {first_problem(error)}"
        return
    if len(found) > MOST:
        yield f"tune: {len(found)} candidates are {len(found)} trainings; give at most {MOST}"


def candidates(method: Choice, tune: TuneSection) -> dict[str, Choice]:
    """The methods that are tried, by what they differ in; the recipe's own comes first.

    Raises:
        ValidationError: a setting is none of the method.
    """
    grids: list[dict[str, Any]] = [{}]
    if tune.over:
        product = itertools.product(*tune.over.values())
        grids += [dict(zip(tune.over, values, strict=True)) for values in product]
    else:
        grids += [{key: value for key, value in each.items() if key != "name"} for each in TUNED_KD]
    found: dict[str, Choice] = {}
    for grid in grids:
        made = type(method)(**{**method.model_dump(), **grid})
        if made not in found.values():
            found[_name(grid)] = made
    return found


def _name(grid: Mapping[str, Any]) -> str:
    """What a candidate differs in, in words.

    >>> _name({"weight": 9.0, "temperature": 2.0}), _name({})
    ('weight 9, temperature 2', 'as asked for')
    >>> _name({"weight": 0.12345678})
    'weight 0.12345678'
    """
    return ", ".join(f"{key} {_said(value)}" for key, value in grid.items()) or "as asked for"


def _said(value: Any) -> str:
    """A value, in no more digits than tell it from others."""
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)
