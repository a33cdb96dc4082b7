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
    """Run a recipe or a study, or go on with it; ends with a table and a verdict."""
    from stillhouse.cli.running import run_recipe
    from stillhouse.cli.studying import run_a_study
    from stillhouse.recipes import is_study, load_recipe, load_study, read_yaml

    folder = out or Path("runs") / recipe.stem
    if is_study(read_yaml(recipe)):
        study = load_study(recipe, settings or [])
        run_a_study(study, folder, shared=shared, allow_imports=allow_imports, quiet=quiet)
        return
    loaded = load_recipe(recipe, settings or [])
    run_recipe(loaded, folder, shared=shared, allow_imports=allow_imports, quiet=quiet)
