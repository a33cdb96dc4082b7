"""``stillhouse run``: the main job from a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli.options import AllowImports, Quiet, RecipeFile, Set, Shared


def run(
    recipe: RecipeFile,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Directory (default: runs/RECIPE).")
    ] = None,
    settings: Set = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Run a recipe, or go on with it; ends with a table and a verdict."""
    from stillhouse.cli.running import run_recipe
    from stillhouse.recipes import load_recipe

    loaded = load_recipe(recipe, settings or [])
    folder = out or Path("runs") / recipe.stem
    run_recipe(loaded, folder, shared=shared, allow_imports=allow_imports, quiet=quiet)
