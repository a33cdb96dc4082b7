"""``stillhouse ls``, ``show`` and ``report``: what there is, and what a recipe or a run says."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli.options import RecipeFile, Set

Rows = list[tuple[str, str]]
Groups = dict[str, Rows]
"""Rows by what they have in common; those under "" by nothing."""


def listing(
    what: Annotated[
        str | None, typer.Argument(help="models, methods, losses, tasks, data; or runs.")
    ] = None,
    directories: Annotated[
        list[Path] | None,
        typer.Argument(help="Of runs: where they are looked for, at any depth (default: runs)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Of runs: as JSON.")] = False,
) -> None:
    """List models, methods by family, losses, tasks and data sources; or runs and studies."""
    from stillhouse.errors import RecipeError, nearest

    if what == "runs":
        from stillhouse.cli.runs import list_runs

        list_runs(directories or [Path("runs")], as_json=as_json)
        return
    if directories or as_json:
        raise RecipeError("ls", ["directories and --json are for 'stillhouse ls runs'"])

    rooms: dict[str, Callable[[], Groups]] = {
        "methods": _methods,
        "losses": _losses,
        "models": _models,
        "tasks": _tasks,
        "data": _data,
    }
    if what is not None and what not in rooms:
        raise RecipeError("ls", [f"no list '{what}'; {nearest(what, [*rooms, 'runs'])}"])
    for name in [what] if what else rooms:
        _print(name, rooms[name]())


def _print(title: str, groups: Groups) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(title, style="bold underline"))
    for group, rows in groups.items():
        if group:
            console.print(Text(f"\n{group}", style="underline"))
        for name, line in rows:
            console.print(Text(name, style="bold"))
            console.print(Padding(Text(line.replace("``", "")), (0, 0, 0, 4)))
    console.print("")


def _methods() -> Groups:
    from stillhouse.methods import METHODS

    families: Groups = {}
    for method in METHODS:
        row = (method.name, f"{method.line} {method.paper}".strip())
        families.setdefault(method.family, []).append(row)
    return families


def _losses() -> Groups:
    import inspect

    from stillhouse import functional, losses

    rooms = (functional.LOSSES, losses.LOSSES)
    found = [(loss.__name__, inspect.getdoc(loss) or "") for room in rooms for loss in room]
    return {"": [(name, text.splitlines()[0]) for name, text in found]}


def _models() -> Groups:
    from stillhouse.models import MODEL_FAMILIES

    rows = [
        (", ".join(family.examples), f"{family.line} {family.paper}".strip())
        for family in MODEL_FAMILIES
    ]
    return {"": rows}


def _tasks() -> Groups:
    from stillhouse.cli.tasks import task_rows

    return {"": task_rows()}


def _data() -> Groups:
    from stillhouse.data.load import source_names

    return {"": list(source_names())}


def show(recipe: RecipeFile, settings: Set = None) -> None:
    """Print a recipe with every default written out, or the table of a run or study."""
    from stillhouse.errors import RecipeError
    from stillhouse.recipes import is_study, load_recipe, load_study, read_yaml, resolved
    from stillhouse.records.plain_yaml import yaml_text

    if recipe.is_dir():
        if settings:
            raise RecipeError("show", [f"--set changes a recipe, and {recipe} is a directory"])
        _show_directory(recipe)
        return
    if is_study(read_yaml(recipe)):
        arms = load_study(recipe, settings or []).arms
        values = {name: resolved(arm) for name, arm in arms.items()}
    else:
        values = resolved(load_recipe(recipe, settings or []))
    typer.echo(yaml_text(values), nl=False)


def _show_directory(directory: Path) -> None:
    """The table of a study, or of a run that is finished and whole; writes nothing."""
    from rich.console import Console

    from stillhouse.cli.study_table import print_study
    from stillhouse.cli.table import print_scores
    from stillhouse.errors import RunError
    from stillhouse.report import read_run
    from stillhouse.runs.directory import read_resolved
    from stillhouse.studies.directory import is_study_directory

    console = Console(highlight=False)
    if is_study_directory(directory):
        print_study(console, directory)
        return
    read_resolved(directory)
    scores = read_run(directory).scores
    if scores is None:
        raise RunError(
            f"the run in {directory} is not finished, so it has no table yet; go on with it: "
            f"'stillhouse resume {directory}'"
        )
    print_scores(console, scores.plain(), directory)


def report(
    directory: Annotated[
        Path, typer.Argument(help="The directory of the run, study or transfer set.")
    ],
) -> None:
    """Write report.html from the files of a run, a study or a transfer set."""
    from stillhouse.data.sources.synthesis import is_synthesis
    from stillhouse.report import write_report, write_study_report, write_transfer_report
    from stillhouse.studies.directory import is_study_directory

    if is_study_directory(directory):
        write = write_study_report
    elif is_synthesis(directory):
        write = write_transfer_report
    else:
        write = write_report
    typer.echo(write(directory))
