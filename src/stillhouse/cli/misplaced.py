"""An option that a command does not have, but a recipe has as a key: where it belongs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OF_RECIPES = ("run", "check", "show", "search", "distill", "compare")
"""Commands that take ``--set``."""
WORDS = ("data", "teacher", "student", "method")
"""Options that are sections of the recipe."""


def misplaced(option: str, arguments: Sequence[str], known: Sequence[str] = ()) -> str | None:
    """A sentence on an option that there is not; None where nothing helps.

    Args:
        option: as it was written, ``--temperature``.
        arguments: of the command line; the first is the command.
        known: options of the command.

    >>> misplaced("--temperature", ["run", "recipe.yaml", "--temperature", "4"])
    'temperature is a setting of the method kd: --set method.temperature=4'
    >>> misplaced("--batch-size", ["distill", "--batch-size=32"], ["--batch"])
    'it is called --batch here'
    """
    from stillhouse.errors import RecipeError
    from stillhouse.recipes.load import read_setting
    from stillhouse.recipes.misplaced import ELSEWHERE_CALLED, belongs
    from stillhouse.recipes.sections import all_places

    command = arguments[0] if arguments else ""
    key = option.lstrip("-").replace("-", "_")
    called = f"--{ELSEWHERE_CALLED.get(key, key).replace('_', '-')}"
    if called in known and called != option:
        return f"it is called {called} here"
    if command not in OF_RECIPES:
        return None
    if key == "config":
        return "the recipe is given without an option: stillhouse run recipe.yaml"
    try:
        _, value = read_setting(f"{key}={_value(option, arguments)}")
    except RecipeError:
        value = "VALUE"
    own = [place.key for place in all_places() if not place.path]
    if key in own:
        return f"{key} is a key of the recipe: --set {key}={_value(option, arguments)}"
    said = belongs(key, value, _given(arguments), own=own, dotted=True)
    return said if "--set" in said else None


def _value(option: str, arguments: Sequence[str]) -> str:
    """What was given with the option: behind it, or after an equals sign."""
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == option and equals:
            return value
        if name == option and at + 1 < len(arguments) and arguments[at + 1][:2] != "--":
            return arguments[at + 1]
    return "VALUE"


def _given(arguments: Sequence[str]) -> Mapping[str, Any]:
    """What recipe and options say of the sections, as far as they can be read."""
    from stillhouse.errors import StillhouseError
    from stillhouse.recipes import override, read_yaml

    found: dict[str, Any] = {}
    for argument in arguments[1:]:
        if Path(argument).suffix in (".yaml", ".yml") and Path(argument).is_file():
            try:
                found |= read_yaml(Path(argument))
            except StillhouseError:  # which is told when the command is right
                continue
    for word in WORDS:
        value = _value(f"--{word}", arguments)
        if value != "VALUE":
            found[word] = value
    settings = [
        _value("--set", arguments[at:]) for at, one in enumerate(arguments) if "--set" in one
    ]
    try:
        return override({"method": "kd", **found}, settings)
    except StillhouseError:
        return {"method": "kd", **found}
