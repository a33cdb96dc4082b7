"""The sections of a recipe, and which keys each of them knows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, Tag

from stillhouse.recipes.schema import Recipe

DEEPEST = 3
"""Sections in each other that are looked through."""


@dataclass(frozen=True)
class Place:
    """A section that knows a key.

    Args:
        path: of the section: () is the recipe itself.
        choice: of several sections under one key, which; empty for the only one.
        key: as it is called there.
    """

    path: tuple[str, ...]
    choice: str
    key: str


@cache
def all_places() -> tuple[Place, ...]:
    """Every key of every section of a recipe."""
    return tuple(_within(Recipe, (), ""))


def _within(section: type[BaseModel], path: tuple[str, ...], choice: str) -> Iterator[Place]:
    for key, field in section.model_fields.items():
        if key in ("name", "derive"):
            continue
        yield Place(path, choice, key)
        inner = sections_of(field.annotation)
        if len(path) < DEEPEST - 1 and not (set(path) & {key}) and path != ("peers",):
            for tag, each in inner.items():
                yield from _within(each, (*path, key), tag if len(inner) > 1 else "")


def sections_of(annotation: Any) -> dict[str, type[BaseModel]]:
    """The sections behind an annotation, by the tag that pydantic reports."""
    tags = [each.tag for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Tag)]
    if tags:
        return dict.fromkeys(tags, get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation.__name__: annotation}
    found: dict[str, type[BaseModel]] = {}
    for inner in get_args(annotation):
        found |= sections_of(inner)
    return found
