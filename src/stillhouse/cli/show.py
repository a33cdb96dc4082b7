"""``stillhouse show`` and ``report``: what a recipe or a run says."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse.cli.options import RecipeFile, Set


def show(
    recipe: RecipeFile,
    settings: Set = None,
    as_recipe: Annotated[
        bool, typer.Option("--recipe", help="Of a directory: print its recipe, not its table.")
    ] = False,
    written: Annotated[
        bool,
        typer.Option("--written", help="Print the file as it is written, with its comments."),
    ] = False,
) -> None:
    """Print a recipe with all defaults, or the table of a run or study."""
    from stillhouse.cli.asked import asked
    from stillhouse.recipes import Study, resolved
    from stillhouse.records.plain_yaml import yaml_text

    if written:
        typer.echo(_written(recipe, bool(settings)), nl=False)
        return
    if recipe.is_dir() and not settings and not as_recipe:
        _show_directory(recipe)
        return
    found = asked(recipe, settings or [])
    if isinstance(found, Study):
        values: dict[str, Any] = {name: resolved(arm) for name, arm in found.arms.items()}
    else:
        values = resolved(found)
    typer.echo(yaml_text(values), nl=False)


def _written(recipe: Path, changed: bool) -> str:
    """The text of a recipe's file.

    Raises:
        RecipeError: it is none, or the text is asked for with changes.
    """
    from stillhouse.errors import RecipeError
    from stillhouse.recipes import read_yaml
    from stillhouse.recipes.ready import ready_recipe

    if changed or recipe.is_dir():
        said = (
            "--written prints a file as it is; leave out --set"
            if changed
            else ("--written is of files; the recipe of a directory is printed by --recipe")
        )
        raise RecipeError(str(recipe), [said])
    read_yaml(recipe)  # says that there is none
    found = recipe if recipe.is_file() else ready_recipe(recipe)
    return found.read_text(encoding="utf-8") if found is not None else ""


def _show_directory(directory: Path) -> None:
    """The table of a study, or of a run that is finished and whole; writes nothing."""
    from stillhouse.cli.study_table import print_study
    from stillhouse.cli.table import print_scores
    from stillhouse.cli.terminal import Terminal
    from stillhouse.errors import RunError
    from stillhouse.report import read_run
    from stillhouse.runs.directory import read_resolved
    from stillhouse.studies.directory import is_study_directory

    console = Terminal()
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
        Path,
        typer.Argument(
            help="Directory of a run, of a study, or of images made by 'stillhouse synthesize'.",
            metavar="DIRECTORY",
        ),
    ],
) -> None:
    """Write report.html again from the files of a run or study."""
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
