"""The page of recipe keys, from the schema that reads recipes (pydantic, as JSON schema)."""

import inspect
from collections.abc import Iterator

from generator.markdown import entries, prose, table
from generator.schema import Schema, default, takes
from stillhouse.recipes import study
from stillhouse.recipes.schema import Recipe

CHOSEN = ("method", "optimizer", "schedule", "task")
"""Keys that name a function; its settings stand beside the name."""
OPENING = """# Recipe keys

Every key of a recipe with what it takes and its default, generated from the schema that reads
recipes. What belongs together is told in [recipes](../recipes.md), [data](../data.md),
[teachers](../teachers.md) and [students](../students.md). `stillhouse show RECIPE` prints a recipe
with all of them; in Python every key is an argument of `sh.distill`.
"""


def page() -> str:
    """All sections, the recipe itself first."""
    whole = Recipe.model_json_schema()
    parts = [OPENING, "## A recipe\n", _keys(whole, entries(inspect.getdoc(Recipe) or "", "Keys"))]
    parts += ["## A study\n", _study()]
    for name in _sections(whole):
        schema = whole["$defs"][name]
        parts += [f"## {name}\n", prose(inspect.cleandoc(schema.get("description", ""))) + "\n"]
        parts.append(_keys(schema))
    for key in CHOSEN[1:]:
        parts += [f"## Choices of {key}\n", _choices(whole, key)]
    return "\n".join(parts) + "\n"


def _keys(schema: Schema, meant: dict[str, str] | None = None) -> str:
    """The table of a section."""
    needed = schema.get("required", ())
    rows = []
    for key, value in schema["properties"].items():
        if key == "name":
            continue
        kind = "a name, or `{name: NAME, setting: ...}`" if key in CHOSEN else takes(value)
        cells = [f"`{key}`", kind, default(value, needed=key in needed)]
        rows.append([*cells, meant.get(key, "")] if meant else cells)
    return table(["key", "takes", "default", *(["what"] if meant else [])], rows) + "\n"


def _study() -> str:
    """What the reader of studies says of its keys."""
    keys = ", ".join(f"`{key}`" for key in study.OWN_KEYS)
    said = prose((study.__doc__ or "").partition("\n\n")[2])
    return f"{said}\n\nKeys of its own, beside those of a recipe: {keys}.\n"


def _sections(whole: Schema) -> Iterator[str]:
    """Sections in the order in which the recipe names them."""
    waiting, seen = [whole], set()
    while waiting:
        here = waiting.pop(0)
        for name in _named(here.get("properties", {})):
            if name.endswith("Section") and name not in seen:
                seen.add(name)
                waiting.append(whole["$defs"][name])
                yield name


def _named(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _named(value)
    if isinstance(schema, list):
        for value in schema:
            yield from _named(value)


def _choices(whole: Schema, key: str) -> str:
    """A row for each choice: its settings with their defaults."""
    rows = []
    for name in dict.fromkeys(_named(whole["properties"][key])):
        schema = whole["$defs"][name]
        settings = []
        for setting, value in schema["properties"].items():
            if setting != "name":
                shown = default(value, needed=setting in schema.get("required", ()))
                settings.append(f"`{setting}`: {takes(value)}" + (f" ({shown})" if shown else ""))
        rows.append([f"`{name}`", "; ".join(settings) or "none"])
    return table([key, "settings: what they take (default)"], rows) + "\n"
