"""``stillhouse show``: the resolved recipe, or the table of a study."""

from pathlib import Path

import typer

from stillhouse.cli.options import RecipeFile, Set


def show(recipe: RecipeFile, settings: Set = None) -> None:
    """Print a recipe with every default written out, or the table of a study's directory."""
    import yaml

    from stillhouse.recipes import is_study, load_recipe, load_study, read_yaml, resolved
    from stillhouse.studies.directory import is_study_directory

    if is_study_directory(recipe):
        _show_table(recipe)
        return
    if is_study(read_yaml(recipe)):
        arms = load_study(recipe, settings or []).arms
        values = {name: resolved(arm) for name, arm in arms.items()}
    else:
        values = resolved(load_recipe(recipe, settings or []))
    typer.echo(yaml.safe_dump(values, sort_keys=False), nl=False)


def _show_table(directory: Path) -> None:
    from rich.console import Console

    from stillhouse.cli.study_table import print_study

    print_study(Console(highlight=False), directory)
