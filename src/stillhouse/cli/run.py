"""``stillhouse run`` and ``stillhouse resume``: a recipe or a study, begun or gone on with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli.options import AllowImports, Quiet, RecipeFile, Set, Shared, Track
from stillhouse.errors import RunError

if TYPE_CHECKING:
    from stillhouse.recipes import Recipe


def run(
    recipe: RecipeFile,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Directory (default: runs/RECIPE).")
    ] = None,
    settings: Set = None,
    track: Track = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Run a recipe or a study, or go on with it; ends with a table and a verdict."""
    from stillhouse.cli.studying import run_a_study
    from stillhouse.recipes import is_study, load_recipe, load_study, read_yaml

    folder, settings = out or Path("runs") / recipe.stem, [*(settings or []), *_tracking(track)]
    if is_study(read_yaml(recipe)):
        study = load_study(recipe, settings)
        run_a_study(study, folder, shared=shared, allow_imports=allow_imports, quiet=quiet)
        return
    loaded = load_recipe(recipe, settings)
    run_recipe(loaded, folder, shared=shared, allow_imports=allow_imports, quiet=quiet)


def resume(
    directory: Annotated[Path, typer.Argument(help="The directory of the run or study.")],
    track: Track = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a stopped run; a finished one shows its table again."""
    from stillhouse.cli.studying import run_a_study
    from stillhouse.recipes import make_recipe, make_study, override, override_study
    from stillhouse.runs.directory import read_resolved
    from stillhouse.studies.directory import is_study_directory, read_study

    if directory.is_file():
        raise RunError(
            f"{directory} is a file, and what goes on is a directory; begin a recipe with "
            f"'stillhouse run {directory}', or give the directory of a run or study"
        )
    if is_study_directory(directory):
        study = read_study(directory)
        if track is not None:
            values = override_study(study.values, _tracking(track))
            study = make_study(values, where=str(directory))
        run_a_study(study, directory, shared=shared, allow_imports=allow_imports, quiet=quiet)
        return
    values = override(read_resolved(directory), _tracking(track))
    recipe = make_recipe(values, where=str(directory))
    run_recipe(recipe, directory, shared=shared, allow_imports=allow_imports, quiet=quiet)


def _tracking(track: str | None) -> list[str]:
    """The option as a setting of a recipe or study."""
    return [] if track is None else [f"track={track}"]


def run_recipe(
    recipe: "Recipe", out: Path, *, shared: Path | None, allow_imports: bool, quiet: bool
) -> None:
    """Prepare, run, print."""
    from rich.console import Console

    from stillhouse.cli.table import print_outcome
    from stillhouse.engine.platform import open_platform
    from stillhouse.runs.progress import progress_shown
    from stillhouse.runs.run import prepare
    from stillhouse.runs.run import run as run_job

    console = Console(highlight=False)
    main = open_platform(device=recipe.device).main
    with progress_shown(quiet=quiet or not main, log=True) as watcher:
        watcher.say(recipe.title)
        job = prepare(recipe, out, shared=shared, allow_imports=allow_imports, watcher=watcher)
        outcome = run_job(job)
    if job.data.platform.main:
        print_outcome(console, outcome)
