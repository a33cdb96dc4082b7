"""Python that a recipe names: imported when the user allows it, and only then."""

import os
import sys
from importlib import import_module
from typing import Any

from stillhouse.errors import ModelError, RecipeError
from stillhouse.recipes.choices import IMPORT


def imported(name: str, *, allow: bool) -> Any:
    """What ``python:package.module:function`` names; the working directory is looked in, too.

    Raises:
        RecipeError: it is not allowed, or not of this form.
        ModelError: there is no such module, or nothing of that name in it.
    """
    path, colon, function = name.removeprefix(IMPORT).partition(":")
    if not allow:
        said = f"'{name}' runs Python code; allow it with --allow-imports"
        raise RecipeError("imports", [said])
    if not colon:
        raise RecipeError("imports", [f"'{name}': write {IMPORT}PACKAGE:FUNCTION"])
    here = os.getcwd()
    if here not in sys.path:  # a console script does not look there, `python -m` does
        sys.path.append(here)
    try:
        return getattr(import_module(path), function)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"'{name}' cannot be imported: {error}") from error
