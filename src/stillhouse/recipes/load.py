"""Load a recipe: safe YAML, ``--set`` overrides, all problems at once in the user's own words."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import Repr
from typing import Any

from pydantic import BaseModel, ValidationError

from stillhouse.errors import RecipeError, nearest
from stillhouse.recipes.data import TransferSection
from stillhouse.recipes.findings import must_be
from stillhouse.recipes.misplaced import belongs
from stillhouse.recipes.plain import plain_values
from stillhouse.recipes.ready import ready_recipe, ready_recipes
from stillhouse.recipes.schema import Recipe
from stillhouse.recipes.sections import sections_of
from stillhouse.records.names import at_home
from stillhouse.records.plain_yaml import read_yaml_file, read_yaml_text

_CHECKED = re.compile(r"function-\w+\[.*, (\w+)\]")
_OF_PYDANTIC = re.compile(
    r"(literal|dict|list|tuple|nullable)\[.*|(constrained-)?(str|int|float)|bool"
)
"""What it calls one of several kinds of value; no key of a recipe is called so."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlist = _SHORT.maxdict = 4


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file of a recipe or a study; never runs code.

    A file of pairs (``data: {pairs: FILE}``) that lies beside it is named by its place. A name of a
    recipe that comes with the package is that recipe, where no such file is here.

    Raises:
        RecipeError: no such file, not YAML, a key that comes twice, or not a mapping.
    """
    if path.is_dir():
        said = f"it is a directory; go on with one of a run or study by 'stillhouse resume {path}'"
        raise RecipeError(str(path), [f"{said}, or give the recipe's file"])
    path = path if path.is_file() else ready_recipe(path) or path
    if not path.is_file():
        folder = path.parent
        there = sorted(str(p) for p in folder.glob("*.y*ml")) if folder.is_dir() else []
        near = nearest(path.stem, ready_recipes())
        also = near if near.startswith("nearest") and not there else nearest(str(path), there)
        said = (
            f"no such recipe; {also}; 'stillhouse ls recipes' has those that come with Stillhouse"
        )
        raise RecipeError(str(path), [said])
    value = read_yaml_file(path)
    if not isinstance(value, dict):
        kind = "empty" if value is None else "a list" if isinstance(value, list) else "one word"
        said = "a recipe is a mapping such as 'data: digits' (with a space after the colon)"
        raise RecipeError(str(path), [f"it is {kind}; {said}"])
    return {key: _beside(each, path.parent, (str(key),)) for key, each in value.items()}


def override(values: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Apply ``key=value`` and ``section.key=value``; values are read as YAML.

    >>> override({"method": "kd"}, ["method.temperature=2", "epochs=5"])
    {'method': {'name': 'kd', 'temperature': 2}, 'epochs': 5}
    """
    result = dict(values)
    for setting in settings:
        key, value = read_setting(setting)
        _put(result, key.split("."), value)
    return result


def read_setting(setting: str) -> tuple[str, Any]:
    """Key and value of ``key=value``.

    >>> read_setting("data.augment=[crop, flip]")
    ('data.augment', ['crop', 'flip'])
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise RecipeError("--set", [f"'{setting}' is not of the form key=value"])
    return key, read_yaml_text(text, where=f"--set {key}")


SHORT_KEYS: dict[str, str] = {
    "data": "source",
    "teacher": "model",
    "student": "model",
    "cache": "use",
    "head": "model",
    "track": "to",
}
"""What a bare word in a section stands for; elsewhere it is the name."""


def _put(values: dict[str, Any], path: list[str], value: Any, above: str = "") -> None:
    head, *rest = path
    if not rest:
        values[head] = value
        return
    inner = values.get(head, default_word(head, above))
    if isinstance(inner, str):
        inner = {SHORT_KEYS.get(head, "name"): inner}
    if isinstance(inner, list):
        said = f"'{head}' is a list, so '{head}.{'.'.join(rest)}' reaches nothing"
        raise RecipeError("--set", [f"{said}; give the whole of '{head}'"])
    inner = dict(inner) if isinstance(inner, dict) else {}
    _put(inner, rest, value, head)
    values[head] = inner


def default_word(key: str, above: str = "") -> str | None:
    """The word that stands in a section when the recipe says nothing of it.

    >>> default_word("method"), default_word("method", "transfer")
    ('kd', 'zero_shot')
    """
    field = (TransferSection if above == "transfer" else Recipe).model_fields.get(key)
    return field.default if field is not None and isinstance(field.default, str) else None


def make_recipe(
    values: Mapping[str, Any], *, where: str = "recipe", call: Sequence[str] = ()
) -> Recipe:
    """Check plain data against the schema.

    Args:
        values: of the recipe.
        where: what messages begin with.
        call: where they come from a call from Python, its arguments: keys that are wrong are
            answered as it is to be written.

    Raises:
        RecipeError: with all problems, each with its key, what was given and what is possible.
    """
    if not isinstance(values, Mapping):
        raise RecipeError(where, [f"it is {_SHORT.repr(values)}; a recipe is a mapping of keys"])
    plain = plain_values(values, where=where)
    try:
        return Recipe.model_validate(plain)
    except ValidationError as error:
        # Of "a section or the word auto", the section's own finding says more where one is given.
        found = [dict(details) for details in error.errors()]
        findings = [each for each in found if not _is_beside(each, found)]
        problems = [problem for details in findings for problem in _problems(details, plain, call)]
        raise RecipeError(where, _together(problems)) from None


def _together(problems: Sequence[str]) -> list[str]:
    """What was found of one value that may be of several kinds, in one sentence.

    >>> _together(["'a' is []; it must be a word", "'a' is []; it must be a number"])
    ["'a' is []; it must be a word or a number"]
    >>> _together(["'a' is 'no'; it must be a number", "'a' is 'no'; it must be 'few' or 'many'"])
    ["'a' is 'no'; it must be a number, 'few' or 'many'"]
    """
    found: dict[str, list[str]] = {}
    for problem in problems:
        head, must, wanted = problem.partition("; it must be ")
        found.setdefault(head + must, []).append(wanted)
    return [head + _either(list(dict.fromkeys(wanted))) for head, wanted in found.items()]


def _either(wanted: Sequence[str]) -> str:
    """One of these; those that are themselves a choice come last.

    >>> _either(["a word", "at least 0"])
    'a word or a number of at least 0'
    """
    if len(wanted) > 1:
        bounds = {
            "at ": "a number of at ",
            "above ": "a number above ",
            "below ": "a number below ",
        }
        for opening, said in bounds.items():
            wanted = [
                said + each.removeprefix(opening) if each.startswith(opening) else each
                for each in wanted
            ]
    *first, last = sorted(wanted, key=lambda each: " or " in each)
    joint = ", " if " or " in last else " or "
    return ", ".join(first) + (joint if first else "") + last


def _is_beside(details: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a finding says only that a section is not the word that could stand in its place."""
    *place, kind = details["loc"] or [""]
    if not str(kind).startswith("literal["):
        return False
    inside = [each for each in found if [*each["loc"]][: len(place)] == place]
    return any(
        len(each["loc"]) > len(place) + 1 or each["type"] == "value_error" for each in inside
    )


def load_recipe(path: Path, settings: Sequence[str] = ()) -> Recipe:
    """A recipe from a file, with overrides."""
    return make_recipe(override(read_yaml(path), settings), where=str(path))


def _beside(value: Any, folder: Path, path: tuple[str, ...] = ()) -> Any:
    """The same, where a file of pairs that lies in the folder of its recipe is named by its place.

    So it is found from wherever the recipe is run. One that does not lie there stays as it is
    written: it may be in the folder of the data.
    """
    if isinstance(value, Mapping):
        return {key: _beside(each, folder, (*path, str(key))) for key, each in value.items()}
    if isinstance(value, list):
        return [_beside(each, folder, path) for each in value]
    if isinstance(value, str) and ".".join(path).endswith("data.pairs"):
        place = folder / at_home(value)  # an absolute path stays as it is
        return str(place) if os.path.isfile(place) else value
    return value


def _problems(
    details: Mapping[str, Any], values: Mapping[str, Any], call: Sequence[str]
) -> Sequence[str]:
    """One finding of pydantic, which may hold several of ours."""
    found = getattr(details.get("ctx", {}).get("error"), "problems", None)
    return found or [_problem(details, values, call)]


def _problem(details: Mapping[str, Any], values: Mapping[str, Any], call: Sequence[str]) -> str:
    """One finding of pydantic in the house's words."""
    place = [str(part) for part in details["loc"]]
    kind, given = details["type"], details.get("input")
    if kind == "extra_forbidden":
        *above, key = place
        inside, section = _walk(above)
        own = [name for name in section.model_fields if name not in ("name", "derive")]
        said = belongs(key, given, values, inside=inside, own=own, call=call)
        return f"there is no key '{_dotted(place)}'; {said}"
    if kind == "missing" and isinstance(details["loc"][-1], int):
        count = details["loc"][-1]
        return f"'{_dotted(place[:-1])}' has too few values; value {count + 1} of it is missing"
    if kind == "missing":
        return f"'{_dotted(place)}' is missing; add {place[-1]}: ..."
    if kind == "union_tag_not_found":
        if not isinstance(given, Mapping):
            said = "it must be a name, or a section with name: ..."
            return f"'{_dotted(place)}' is {_SHORT.repr(given)}; {said}"
        return f"'{_dotted(place)}' does not say which; add name: ... to it"
    if kind == "union_tag_invalid":
        tags = details["ctx"].get("expected_tags", "").replace("'", "").split(", ")
        by = "derive" if isinstance(given, dict) and "derive" in given else "name"
        name = given.get(by) if isinstance(given, dict) else given
        key = f"{_dotted(place)}.derive" if by == "derive" else _dotted(place)
        return f"'{key}: {name}' does not exist; {nearest(str(name), tags)}"
    if kind == "value_error":
        said = str(details["ctx"]["error"])
        return f"{_dotted(place)}: {said}" if place else said
    shown = "null" if given is None and not call else _SHORT.repr(given)
    said, key = must_be(details), _dotted(place)
    if key.rpartition(".")[2] in SHORT_KEYS:
        said = said.replace("a section of keys", "a word, or a section of keys")
    return f"'{key}' is {shown}; {said}"


def _dotted(place: Sequence[str]) -> str:
    return ".".join(_walk(place)[0])


def _walk(place: Sequence[str]) -> tuple[list[str], type[BaseModel]]:
    """The key as the user writes it (without pydantic's tags), and the section it ends in."""
    here: type[BaseModel] = Recipe
    written: list[str] = []
    options: dict[str, type[BaseModel]] = {}
    for part in place:
        # A section with a check of its own is reported as function-after[check(), Section].
        name = _CHECKED.sub(r"\1", part)
        if name in options:
            here, options = options[name], {}
            continue
        written.append(name)
        options = (
            sections_of(here.model_fields[name].annotation) if name in here.model_fields else {}
        )
        if len(options) == 1:
            here = next(iter(options.values()))
    return [name for name in written if not _OF_PYDANTIC.fullmatch(name)], here
