"""Fingerprints: what made a product, in a word."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LENGTH = 16


def fingerprint(value: Mapping[str, Any]) -> str:
    """A hash of plain data that does not depend on the order of its keys.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def file_hash(path: Path) -> str:
    """Sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_difference(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """The first key (dotted) under which two resolved recipes differ, with both values.

    >>> first_difference({"a": {"b": 1}}, {"a": {"b": 2}})
    'a.b (there: 2, asked: 1)'
    >>> first_difference({"a": {"b": 1, "new": None}}, {"a": {"b": 1}}) is None
    True
    """
    for key in dict.fromkeys([*mine, *theirs]):
        here, there = mine.get(key), theirs.get(key)
        if here == there:
            continue
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            inner = first_difference(here, there)
            if inner is None:  # a key that one side does not know and the other leaves empty
                continue
            return f"{key}.{inner}"
        return f"{key} (there: {there}, asked: {here})"
    return None
