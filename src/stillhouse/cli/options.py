"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("-o", "--out", help="Directory of the run.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; repeatable."),
]
RecipeFile = Annotated[Path, typer.Argument(help="A recipe (YAML).", metavar="RECIPE")]
Shared = Annotated[
    Path | None,
    typer.Option(
        help="Where teachers and controls are kept for other runs (default: beside the run)."
    ),
]
AllowImports = Annotated[
    bool,
    typer.Option("--allow-imports", help="Allow models named python:PACKAGE:FUNCTION."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the table and the verdict.")]
