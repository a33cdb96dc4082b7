"""``stillhouse --version``: what is installed."""

from typing import Annotated

import typer


def _say(asked: bool) -> None:
    if asked:
        import torch

        import stillhouse

        typer.echo(f"stillhouse {stillhouse.__version__} (torch {torch.__version__})")
        raise typer.Exit


def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """What stands before a command."""
