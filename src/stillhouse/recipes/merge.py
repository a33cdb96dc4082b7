"""Merge rules: what an arm of a study says, over what all its arms have in common.

Mappings are merged key by key; everything else (numbers, words, lists) is replaced. Where both
sides name a choice (``name``, ``model`` or ``derive``) and the names differ, the whole section is
replaced: settings of one method never leak into another. Of data only the source is replaced: how
many images, their size and augmentation are settings of all sources alike. A section without a
name is about the default, and a bare word about what it names, at any depth.
"""

from collections.abc import Mapping
from typing import Any

from stillhouse.recipes.load import SHORT_KEYS, default_word

WORDS = {**SHORT_KEYS, "method": "name", "optimizer": "name", "schedule": "name"}
"""Sections of which a bare word is short for a mapping with this one key."""
CHOSEN_BY = ("name", "model", "derive")
"""Keys that say what the rest of a section is about."""


def expanded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as mappings, bare words as sections; later keys win.

    >>> expanded({"method": "th_kd", "method.alpha": 0.5, "epochs": 3})
    {'method': {'name': 'th_kd', 'alpha': 0.5}, 'epochs': 3}
    """
    found: dict[str, Any] = {}
    for dotted, value in values.items():
        head, *rest = str(dotted).split(".")
        inner = value if rest else _section(head, value)
        for key in reversed(rest):
            inner = {key: inner}
        found = merged(found, {head: inner})
    return found


def _section(key: str, value: Any) -> Any:
    if key == "cache" and isinstance(value, bool):  # what YAML makes of 'no'
        return {"use": "always" if value else "never"}
    return {WORDS[key]: value} if key in WORDS and isinstance(value, str) else value


def merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` over ``common``; both stay as they are.

    >>> merged({"method": {"name": "kd", "weight": 2}}, {"method": {"weight": 3}})
    {'method': {'name': 'kd', 'weight': 3}}
    >>> merged({"method": {"name": "kd", "weight": 2}}, {"method": {"name": "dkd"}})
    {'method': {'name': 'dkd'}}
    >>> merged({"data": {"source": "mnist", "limit": 500}}, {"data": "digits"})
    {'data': {'source': 'digits', 'limit': 500}}
    >>> merged({"teacher": {"model": "a", "head": "b"}}, {"teacher": {"head": {"seed": 1}}})
    {'teacher': {'model': 'a', 'head': {'model': 'b', 'seed': 1}}}
    """
    result = dict(common)
    for key, value in own.items():
        before = result.get(key)
        if isinstance(before, Mapping) or isinstance(value, Mapping):
            before, value = _section(key, before), _section(key, value)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and not _other(before, value):
            result[key] = merged(before, value)
        else:
            result[key] = dict(value) if isinstance(value, Mapping) else value
    return result


def _other(before: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Whether two sections are about different things.

    >>> _other({"model": "a"}, {"derive": "low_rank"}), _other({"model": "a"}, {"head": "own"})
    (True, False)
    """
    here, there = ({key: of[key] for key in CHOSEN_BY if key in of} for of in (before, value))
    both = here.keys() & there.keys()
    return any(here[key] != there[key] for key in both) or bool(here and there and not both)


def arm_values(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of one arm, as plain data; settings without a name are those of the default.

    >>> arm_values({"data": "digits"}, {"method.weight": 2})
    {'data': {'source': 'digits'}, 'method': {'name': 'kd', 'weight': 2}}
    >>> arm_values({"optimizer": {"lr": 0.5}}, {"optimizer": "adamw"})
    {'optimizer': {'name': 'adamw'}}
    """
    return named(merged(named(expanded(common)), expanded(own)))


def named(expanded_values: Mapping[str, Any]) -> dict[str, Any]:
    """Sections that name no choice with the name of the default.

    >>> named({"method": {"weight": 2}})
    {'method': {'name': 'kd', 'weight': 2}}
    """
    values = dict(expanded_values)
    for key, by in WORDS.items():
        section, word = values.get(key), default_word(key)
        if isinstance(section, Mapping) and by not in section and word is not None:
            values[key] = {by: word, **section}
    return values


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys.

    >>> flat({"method": {"name": "kd", "weight": 2}, "epochs": 3})
    {'method.name': 'kd', 'method.weight': 2, 'epochs': 3}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found
