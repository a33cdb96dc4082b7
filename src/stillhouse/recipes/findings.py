"""What pydantic finds of a value, in plain English: what it must be, as our own checks say it."""

from collections.abc import Mapping
from typing import Any

KINDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("int_",), "a whole number"),
    (("float_", "decimal_", "finite_number"), "a number"),
    (("bool_",), "true or false"),
    (("string_type", "string_sub", "string_unicode", "path_"), "a word"),
    (("model_type", "model_attributes", "dict_", "mapping_", "dataclass_"), "a section of keys"),
    (("list_", "tuple_", "set_", "frozen_set_", "iterable_"), "a list"),
    (("none_required",), "null"),
)
"""Beginnings of the names of its findings, and what was wanted."""

BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("above", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("below", "lt"),
}


def must_be(details: Mapping[str, Any]) -> str:
    """What the value of a finding must be.

    >>> must_be({"type": "int_parsing", "msg": "Input should be a valid integer, unable to ..."})
    'it must be a whole number'
    >>> must_be({"type": "less_than", "ctx": {"lt": 1.0}, "msg": "..."})
    'it must be below 1'
    >>> must_be({"type": "literal_error", "msg": "Input should be 'auto' or 'never'"})
    "it must be 'auto' or 'never'"
    """
    kind, context = details["type"], details.get("ctx", {})
    if kind in BOUNDS:
        word, key = BOUNDS[kind]
        bound = context[key]
        return f"it must be {word} {bound:g}" if bound < 1e5 else f"it must be {word} {bound:,}"
    if kind == "int_parsing_size":
        return "it is too large a whole number; give a smaller one"
    if kind == "finite_number":
        return "it must be a finite number"
    for beginnings, wanted in KINDS:
        if kind.startswith(beginnings):
            return f"it must be {wanted}"
    if kind.endswith(("too_short", "too_long")):
        word, key = (
            ("at least", "min_length") if kind.endswith("short") else ("at most", "max_length")
        )
        what, count = "character" if kind.startswith("string") else "item", context[key]
        return f"it must have {word} {count} {what}{'' if count == 1 else 's'}"
    said = str(details["msg"])
    for opening in ("Input should be ", "String should ", "Value error, "):
        said = said.removeprefix(opening)
    return f"it must be {said}"
