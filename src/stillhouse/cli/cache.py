"""``stillhouse cache``: the teacher cache of a recipe, by one worker or by many."""

from collections.abc import Sequence
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
    check_on,
)

if TYPE_CHECKING:
    from stillhouse.cache import TeacherCache
    from stillhouse.on_ray import Recorded


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
    on: On = None,
    address: Address = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="With --on ray: how many workers (default: all that fit)."),
    ] = None,
    cpus: Cpus = 1,
    settings: Set = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Store the outputs of a recipe's teacher for its students; processes share the work."""
    from stillhouse.cache import in_words
    from stillhouse.errors import RecipeError
    from stillhouse.recipes import is_study, make_recipe, override, read_yaml
    from stillhouse.runs.caching import cache_teachers, check_records, worker_from, worker_of
    from stillhouse.runs.progress import progress_shown
    from stillhouse.runs.run import prepare

    found: Sequence[TeacherCache | Recorded]
    on_ray = check_on(on, address)
    if on_ray and worker is not None:
        raise RecipeError("--worker", ["with --on ray it is --workers, how many there are"])
    launched = worker_of()
    asked = launched if worker is None else worker_from(worker)
    values = read_yaml(recipe)
    if is_study(values):
        said = "it is a study; give the recipe of one arm, whose cache its other arms find"
        raise RecipeError(str(recipe), [said])
    values = override(values, [*(settings or []), "cache.use=always"])
    loaded = make_recipe(values, where=str(recipe))
    with progress_shown(quiet=quiet, log=True) as watcher:
        folder = out or Path("runs") / recipe.stem
        job = prepare(loaded, folder, shared=shared, allow_imports=allow_imports, watcher=watcher)
        if on_ray:
            from stillhouse.on_ray import Home, Recording, joined, record_on

            check_records(job)
            with joined(address, cpus=cpus, device=loaded.device) as cluster:
                count = min(workers or cluster.slots, cluster.slots)
                watcher.say(f"{count} workers on the cluster")
                home = Home(cluster.cpus)
                recording = Recording(values, folder, shared, allow_imports, home)
                found = record_on(cluster, recording, count, watcher.say)
        else:
            found = cache_teachers(job, asked)
        for each in found:
            watcher.say(f"teacher cache: {each.views} views, {in_words(each.bytes)}, whole")
            print(each.directory)
