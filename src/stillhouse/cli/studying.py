"""Run or check a study for the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.recipes import Study


@dataclass(frozen=True)
class OnRay:
    """That a study runs on a Ray cluster: its address, and the cores of a task."""

    address: str | None
    cpus: int


def run_a_study(
    study: "Study",
    out: Path,
    *,
    shared: Path | None,
    allow_imports: bool,
    quiet: bool,
    on_ray: OnRay | None = None,
) -> None:
    """Prepare, run, print a line per arm and the table at the end."""
    from stillhouse.cli.study_table import print_study
    from stillhouse.cli.terminal import Terminal
    from stillhouse.engine.platform import open_platform
    from stillhouse.errors import RecipeError
    from stillhouse.runs.progress import progress_shown
    from stillhouse.studies.study import prepare_study, run_study
    from stillhouse.studies.table import arm_line

    console = Terminal()
    device = next(iter(study.arms.values())).device
    platform = open_platform(device=device)
    main = platform.main
    if on_ray is not None and platform.world > 1:
        raise RecipeError("--on", ["Ray starts the processes: give the command without launcher"])
    with progress_shown(quiet=quiet or not main, log=True) as watcher:
        watcher.say(study.title)

        def done(entry: Mapping[str, Any]) -> None:
            watcher.clear()
            if not quiet:
                console.print(arm_line(entry, prepared.metric), markup=False, soft_wrap=True)

        arms = None
        if on_ray is not None:
            from stillhouse.on_ray import on_cluster

            arms = on_cluster(
                on_ray.address, cpus=on_ray.cpus, device=device, allow_imports=allow_imports
            )
        prepared = prepare_study(
            study, out, shared=shared, allow_imports=allow_imports, watcher=watcher
        )
        run_study(prepared, done=done, arms=arms)
    if main:
        print_study(console, out)


def check_study(study: "Study", out: Path, *, shared: Path | None, allow_imports: bool) -> None:
    """Dry-run every arm; a line for each, and how many trainings there would be."""
    from stillhouse.cli.terminal import Terminal
    from stillhouse.runs.forecasts import FEW_STEPS, forecast_of
    from stillhouse.runs.preflight import preflight
    from stillhouse.runs.progress.lines import LineProgress
    from stillhouse.studies.arms import could_show, count_trainings
    from stillhouse.studies.study import prepare_study

    console = Terminal()
    watcher = LineProgress()
    prepared = prepare_study(
        study, out, shared=shared, allow_imports=allow_imports, watcher=watcher
    )
    told: set[str] = set()  # what arms have in common is told once
    console.print(study.title, style="bold", markup=False)
    for name, job in prepared.jobs.items():
        found = preflight(job)
        if found.teacher is not None:
            found.teacher.told_before(told).tell(job)
        shares = ", ".join(f"{t.name} {100 * t.gradient_share:.0f} %" for t in found.terms)
        recipe = job.recipe
        console.print(
            f"{name}: {recipe.title}, {recipe.epochs} epochs of {found.steps_per_epoch} steps, "
            f"{_seeds(len(recipe.seeds))}; pull of its terms: {shares}",
            markup=False,
        )
    console.print(count_trainings(prepared.jobs.values()), markup=False)
    console.print(could_show(study), markup=False)
    console.print(forecast_of(prepared.jobs.values()) or FEW_STEPS, markup=False)
    console.print(f"[green]all {len(prepared.jobs)} arms fit together[/]")


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"
