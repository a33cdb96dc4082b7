"""``stillhouse cache``: the teacher cache of a recipe, by one worker or by many."""

from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli.options import AllowImports, Quiet, RecipeFile, Set, Shared


def cache(
    recipe: RecipeFile,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Directory of the run to come (default: runs/RECIPE)."),
    ] = None,
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Which of how many workers this is (default: as torchrun or Slurm say, else 1/1).",
        ),
    ] = None,
    settings: Set = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Record a recipe's teacher for its students; start it as often as you like to go faster."""
    from stillhouse.cache import in_words
    from stillhouse.errors import RecipeError
    from stillhouse.recipes import is_study, load_recipe, read_yaml
    from stillhouse.runs.caching import cache_teachers, worker_from, worker_of
    from stillhouse.runs.progress import progress_shown
    from stillhouse.runs.run import prepare

    launched = worker_of()
    asked = launched if worker is None else worker_from(worker)
    if is_study(read_yaml(recipe)):
        said = "it is a study; give the recipe of one arm, whose cache its other arms find"
        raise RecipeError(str(recipe), [said])
    loaded = load_recipe(recipe, [*(settings or []), "cache.use=always"])
    with progress_shown(quiet=quiet, log=True) as watcher:
        folder = out or Path("runs") / recipe.stem
        job = prepare(loaded, folder, shared=shared, allow_imports=allow_imports, watcher=watcher)
        for found in cache_teachers(job, asked):
            watcher.say(f"teacher cache: {found.views} views, {in_words(found.bytes)}, whole")
            print(found.directory)
