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
    typer.Option(
        "--allow-imports",
        help="Allow code of your own, named python:MODULE:NAME (networks, methods, tasks).",
    ),
]
WeightsKey = Annotated[
    str | None,
    typer.Option(help="Key of the state dict in the weights file, where several would do."),
]
WeightsPrefix = Annotated[
    str | None,
    typer.Option(help="Prefix of its names in the weights file, where several would do."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the table and the verdict.")]


def image_shape(text: str, command: str) -> tuple[int, int, int]:
    """Channels, height and width of ``--image``.

    >>> image_shape("3,32,32", "taps")
    (3, 32, 32)
    """
    from stillhouse.errors import RecipeError

    sizes = text.split(",")
    if len(sizes) != 3 or not all(size.strip().isdigit() and int(size) > 0 for size in sizes):
        said = f"--image {text}: write channels,height,width such as 3,32,32"
        raise RecipeError(command, [said])
    return int(sizes[0]), int(sizes[1]), int(sizes[2])
