"""``stillhouse check``: validate and dry-run a recipe before an epoch is spent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli.options import AllowImports, RecipeFile, Set, Shared, loading

if TYPE_CHECKING:
    from stillhouse.cli.terminal import Terminal
    from stillhouse.runs.job.teacher import Teacher
    from stillhouse.runs.preflight import Preflight


def check(
    recipe: RecipeFile,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Directory the run would have (default: runs/RECIPE)."),
    ] = None,
    settings: Set = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
) -> None:
    """Check a recipe on a few batches, and forecast time and disk; trains nothing."""
    loading()
    from stillhouse.cli.asked import asked, own_directory
    from stillhouse.cli.studying import check_study
    from stillhouse.cli.terminal import Terminal
    from stillhouse.recipes import Study
    from stillhouse.runs.forecasts import FEW_STEPS, forecast_of
    from stillhouse.runs.job.label_settings import labels_told
    from stillhouse.runs.preflight import networks_told, preflight
    from stillhouse.runs.progress.lines import LineProgress
    from stillhouse.runs.run import prepare
    from stillhouse.verdict.power import shown_by

    folder, loaded = out or own_directory(recipe), asked(recipe, settings or [])
    if isinstance(loaded, Study):
        check_study(loaded, folder, shared=shared, allow_imports=allow_imports)
        return
    watcher = LineProgress()
    job = prepare(loaded, folder, shared=shared, allow_imports=allow_imports, watcher=watcher)
    found = preflight(job)
    console = Terminal()
    console.print(loaded.title, style="bold", markup=False)
    console.print(
        f"{job.data.splits.told}; {found.steps_per_epoch} steps per epoch; precision "
        f"{job.recipe.precision}",
        markup=False,
    )
    if loaded.patience is not None:
        console.print(
            f"patience: student and control end after {loaded.patience} epochs without a better "
            f"{job.task.metric.name} on validation, at most {loaded.epochs}",
        )
    if job.recipe.control:
        console.print(shown_by(len(loaded.seeds)))
    for line in (*networks_told(job), *labels_told(job.task, job.data.splits.classes)):
        console.print(line, markup=False)
    if found.teacher is not None:
        found.teacher.tell(job)
    elif job.teacher is not None:
        console.print(_untrained(job.teacher))
    if found.teacher_plan is not None:
        console.print(found.teacher_plan, markup=False)
    _print_tables(console, found)
    console.print(forecast_of([job]) or FEW_STEPS, markup=False, highlight=False)
    console.print("[green]the recipe fits together[/]")


def _untrained(teacher: "Teacher") -> str:
    why = "no weights given" if teacher.section.weights is None else "its classifier is new"
    why = why if teacher.section.start is None else "it learns on from where it starts"
    return f"teacher: {why}; it will be trained first, so its terms are untrained here"


def _print_tables(console: "Terminal", found: "Preflight") -> None:
    from rich.table import Table

    signals = Table("signal", "shape (first samples)", box=None, pad_edge=False)
    for row in found.signals:
        signals.add_row(*row)
    terms = Table("term", "value", "weight", "share of gradient", box=None, pad_edge=False)
    for line in found.terms:
        share = f"{100 * line.gradient_share:.1f} %"
        terms.add_row(line.name, f"{line.value:.4g}", f"{line.weight:g}", share)
    console.print("")
    console.table(signals)
    console.print("")
    console.table(terms)
    console.print("")
