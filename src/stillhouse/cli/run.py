"""``stillhouse run`` and ``stillhouse resume``: a recipe or a study, begun or gone on with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli.options import (
    Address,
    AllowImports,
    Cpus,
    On,
    Quiet,
    RecipeFile,
    Set,
    Shared,
    Track,
    check_on,
    loading,
)
from stillhouse.errors import RecipeError, RunError

if TYPE_CHECKING:
    from stillhouse.cli.studying import OnRay
    from stillhouse.recipes import Recipe


def run(
    recipe: RecipeFile,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Directory of the run (default: runs/RECIPE)."),
    ] = None,
    settings: Set = None,
    track: Track = None,
    on: On = None,
    address: Address = None,
    cpus: Cpus = 1,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Run a recipe or a study, or continue it; ends with a table and a verdict."""
    from stillhouse.cli.asked import own_directory
    from stillhouse.cli.studying import OnRay

    folder = out or own_directory(recipe)
    settings = [*(settings or []), *_tracking(track)]
    _run(
        recipe, settings, folder,
        shared=shared, allow_imports=allow_imports, quiet=quiet,
        on_ray=OnRay(address, cpus) if check_on(on, address) else None,
    )  # fmt: skip


def resume(
    directory: Annotated[
        Path, typer.Argument(help="Directory of the run or study.", metavar="DIRECTORY")
    ],
    track: Track = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Continue a stopped run or study; a finished one shows its table."""
    from stillhouse.runs.directory import read_resolved

    if directory.is_file():
        raise RunError(
            f"{directory} is a file, and only a directory is resumed; begin a recipe with "
            f"'stillhouse run {directory}', or give the directory of a run or study"
        )
    if not directory.is_dir():
        read_resolved(directory)  # says that there is none
    _run(
        directory, _tracking(track), directory,
        shared=shared, allow_imports=allow_imports, quiet=quiet,
    )  # fmt: skip


def _run(
    path: Path,
    settings: list[str],
    folder: Path,
    *,
    shared: Path | None,
    allow_imports: bool,
    quiet: bool,
    on_ray: "OnRay | None" = None,
) -> None:
    """The recipe or study in a file, or of a directory."""
    loading(quiet=quiet)
    from stillhouse.cli.asked import asked
    from stillhouse.cli.studying import run_a_study
    from stillhouse.recipes import Study

    found = asked(path, settings)
    if isinstance(found, Study):
        run_a_study(
            found, folder, shared=shared, allow_imports=allow_imports, quiet=quiet, on_ray=on_ray
        )
    elif on_ray is not None:
        said = "--on ray spreads the arms and seeds of a study, and this is one recipe"
        raise RecipeError(str(path), [f"{said}; leave --on out, or give a study (arms, sweep)"])
    else:
        run_recipe(found, folder, shared=shared, allow_imports=allow_imports, quiet=quiet)


def _tracking(track: str | None) -> list[str]:
    """The option as a setting of a recipe or study."""
    return [] if track is None else [f"track={track}"]


def run_recipe(
    recipe: "Recipe", out: Path, *, shared: Path | None, allow_imports: bool, quiet: bool
) -> None:
    """Prepare, run, print."""
    from stillhouse.cli.table import print_outcome
    from stillhouse.cli.terminal import Terminal
    from stillhouse.engine.platform import open_platform
    from stillhouse.runs.progress import progress_shown
    from stillhouse.runs.run import prepare
    from stillhouse.runs.run import run as run_job

    console = Terminal()
    main = open_platform(device=recipe.device).main
    with progress_shown(quiet=quiet or not main, log=True) as watcher:
        job = prepare(recipe, out, shared=shared, allow_imports=allow_imports, watcher=watcher)
        watcher.say(recipe.title)  # not before what may refuse the recipe
        outcome = run_job(job)
    if job.data.platform.main:
        print_outcome(console, outcome)
