"""The words of a JSON schema: what a key takes, and what it is when nobody says."""

import json
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
LARGE = 1_000_000
"""A bound from which on it is there against slips, and tells a reader nothing."""
KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false"}


def takes(schema: Schema) -> str:
    """What a value may be, in words; sections are named.

    >>> takes({"type": "number", "exclusiveMinimum": 0})
    'number > 0'
    >>> takes({"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]})
    '`a`, `b`, or none'
    >>> takes({"items": {"type": "integer"}, "type": "array"})
    'list (whole number)'
    """
    if "$ref" in schema:
        return _section(schema["$ref"])
    several = schema.get("anyOf") or schema.get("oneOf")
    if several:
        said = list(dict.fromkeys(takes(each) for each in several))
        return f"{', '.join(said[:-1])}, or {said[-1]}" if len(said) > 1 else said[0]
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    kind = schema.get("type")
    if kind == "null":
        return "none"
    if kind == "array":
        fixed = schema.get("prefixItems")
        inner = ", ".join(map(takes, fixed)) if fixed else takes(schema.get("items", {}))
        return f"list ({inner})"
    if kind == "object":
        of = schema.get("additionalProperties")
        return f"mapping ({takes(of)})" if isinstance(of, Mapping) else "mapping"
    if schema.get("format") == "path":
        return "path"
    return KINDS.get(str(kind), "any value") + _range(schema)


def _section(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"section [{name}](#{name.lower()})" if name.endswith("Section") else f"`{name}`"


def _range(schema: Schema) -> str:
    """The bounds that a reader may meet.

    >>> _range({"minimum": 0, "exclusiveMaximum": 1}), _range({"minimum": 1, "maximum": 10**9})
    (' >= 0, < 1', ' >= 1')
    """
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    told = [(sign, schema[key]) for key, sign in signs.items() if key in schema]
    shown = [f"{sign} {value:g}" for sign, value in told if abs(value) < LARGE]
    return f" {', '.join(shown)}" if shown else ""


def default(schema: Schema, *, needed: bool) -> str:
    """What it is when nobody says: a value, or that somebody has to.

    >>> default({"default": None}, needed=False), default({}, needed=True)
    ('', '**needed**')
    """
    if needed:
        return "**needed**"
    value = schema.get("default")
    if value is None or value == {} or value == []:
        return ""
    if isinstance(value, Mapping):
        return "its defaults"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
