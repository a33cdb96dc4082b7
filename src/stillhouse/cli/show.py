"""``stillhouse show``: the resolved recipe."""

import typer

from stillhouse.cli.options import RecipeFile, Set


def show(recipe: RecipeFile, settings: Set = None) -> None:
    """Print a recipe with every default written out."""
    import yaml

    from stillhouse.recipes import load_recipe, resolved

    values = resolved(load_recipe(recipe, settings or []))
    typer.echo(yaml.safe_dump(values, sort_keys=False), nl=False)
