"""Fingerprints: what made a product, in a word."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping
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


def code_identity(function: Callable[..., Any] | None) -> str | None:
    """What a user's function does, as far as can be told: its name, source and settings.

    A change inside something that the source only calls is not seen: then use another directory.

    >>> code_identity(None) is None
    True
    >>> code_identity(lambda x: x) == code_identity(lambda x: -x)
    False
    """
    if function is None:
        return None
    code = getattr(function, "__code__", None)
    known = function if code is not None else type(function)
    try:
        source = inspect.getsource(known)
    except (OSError, TypeError):
        source = ""
    bytecode = "" if code is None else code.co_code.hex() + repr(code.co_consts)
    settings = repr(sorted(vars(function).items())) if hasattr(function, "__dict__") else ""
    name = f"{known.__module__}.{known.__qualname__}"
    plain = re.sub(r" at 0x[0-9a-f]+", "", f"{source}{bytecode}{settings}")
    return f"{name}-{hashlib.sha256(plain.encode()).hexdigest()[:LENGTH]}"


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
