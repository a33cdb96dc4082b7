"""``stillhouse search``: find a student under a budget."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli.options import AllowImports, Quiet, RecipeFile, Set, Shared, loading, within
from stillhouse.engine.settings import Count, Epochs, Positive

if TYPE_CHECKING:
    from rich.table import Table

    from stillhouse.records.metric import Metric
    from stillhouse.studies.trials import Candidate


def search(
    recipe: RecipeFile,
    trials: Annotated[
        int,
        typer.Option(callback=within(Count), help="Number of students to train."),
    ] = 20,
    parameters: Annotated[
        int | None,
        typer.Option(callback=within(Count), help="Most parameters that a student may have."),
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(
            callback=within(Positive),
            help="Most milliseconds that a student may take for one image, measured here.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            callback=within(Epochs),
            help="Epochs of each student (default: a quarter of the recipe's).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Directory of the search (default: runs/RECIPE-search)."),
    ] = None,
    settings: Set = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Search for the best student within a budget of parameters or time.

    Varies width, depth and kind of block, and trains each student for a few epochs. Students over
    the budget are not trained. The others are ranked by the metric of the task on the validation
    set; the test set is never read. The best one is written as a recipe for 'stillhouse run'.
    """
    loading(quiet=quiet)
    from stillhouse.cli.asked import asked_values, own_directory
    from stillhouse.cli.terminal import Terminal
    from stillhouse.errors import RecipeError
    from stillhouse.recipes import is_study, override
    from stillhouse.records.study import TrialList
    from stillhouse.runs.progress import progress_shown
    from stillhouse.students.space import Budget
    from stillhouse.studies.search import RECIPE, TABLE, Search, run_search

    values = asked_values(recipe)
    if is_study(values):
        raise RecipeError(str(recipe), ["it is a study; a search takes the recipe of one run"])
    console = Terminal()
    wanted = Search(
        values=override(values, settings or []),
        budget=Budget(parameters, latency_ms),
        trials=trials,
        out=out or own_directory(recipe).with_name(f"{recipe.stem}-search"),
        epochs=epochs,
        shared=shared,
        allow_imports=allow_imports,
    )
    with progress_shown(quiet=quiet, log=True) as watcher:

        def done(one: "Candidate", metric: "Metric") -> None:
            watcher.ended(candidate_line(one, metric))

        found = run_search(replace(wanted, watcher=watcher), done)
    metric = TrialList.read(wanted.out / TABLE).task.metric
    console.print("")
    console.table(candidate_table(found, metric))
    refused = sum(one.outcome == "refused" for one in found)
    trained = [one for one in found if one.validation is not None]
    console.print(f"{len(trained)} trained, {refused} refused by the budget before they learnt")
    if trained:
        console.print(f"best: stillhouse run {wanted.out / RECIPE}", markup=False)


def candidate_line(one: "Candidate", metric: "Metric") -> str:
    """What became of one candidate.

    >>> from stillhouse.studies.trials import Candidate
    >>> from stillhouse.records.metric import ACCURACY
    >>> candidate_line(Candidate(3, "resnet8w4", "trained", 5178, 0.61, 0.9), ACCURACY)
    'trial 3: resnet8w4, 5,178 parameters, 0.61 ms: validation 90.00%'
    """
    time = "" if one.milliseconds is None else f", {one.milliseconds:.2f} ms"
    became = f"{one.outcome} ({one.why})"
    if one.validation is not None:
        became = f"validation {metric.with_unit(one.validation)}"
    return f"trial {one.number}: {one.model}, {one.parameters:,} parameters{time}: {became}"


def candidate_table(found: "Sequence[Candidate]", metric: "Metric") -> "Table":
    """Trained candidates, best first; those that were refused are not in it."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    validation = f"validation {metric.unit}".strip()
    for title, side in (("trial", "right"), ("model", "left"), ("parameters", "right"),
                        ("ms", "right"), (validation, "right")):  # fmt: skip
        table.add_column(title, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for one in found:
        if one.outcome != "refused":
            time = "" if one.milliseconds is None else f"{one.milliseconds:.2f}"
            value = one.outcome if one.validation is None else metric.shown(one.validation)
            table.add_row(str(one.number), one.model, f"{one.parameters:,}", time, value)
    return table
