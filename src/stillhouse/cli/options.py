"""Options that several commands share, and the ranges of their numbers.

What becomes a key of a recipe (``--epochs``, ``--ratio``) is checked with the recipe.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse.engine.settings import Classes, Seed, Side, misfit


def within(hint: Any) -> Callable[[Any], Any]:
    """A callback of an option: its number fits a type of settings, or is refused.

    >>> within(Seed)(3)
    3
    """

    def check(value: Any) -> Any:
        problem = None if value is None else misfit(hint, value)
        if problem:
            raise typer.BadParameter(f"it is {value!r}; {problem}")
        return value

    return check


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
Track = Annotated[
    str | None,
    typer.Option(
        metavar="TRACKER",
        help="Draw curves in tensorboard, mlflow, trackio, wandb (several: with commas); or none.",
    ),
]
RunDirectory = Annotated[
    Path, typer.Argument(help="A finished run, or its folder 'student'.", metavar="RUN")
]
AllowProgram = Annotated[
    bool,
    typer.Option(
        "--allow-program",
        help="Load model.pt2 where the network cannot be built by its name. Such a file may run "
        "code: only for folders of people you trust.",
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
NumberOfClasses = Annotated[
    int,
    typer.Option("--classes", callback=within(Classes), help="How many classes it tells apart."),
]
SeedOfDraws = Annotated[
    int, typer.Option("--seed", callback=within(Seed), help="Of everything that is drawn.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the table and the verdict.")]


def image_shape(text: str, command: str, option: str = "--image") -> tuple[int, int, int]:
    """Channels, height and width of an option.

    >>> image_shape("3,32,32", "taps")
    (3, 32, 32)
    """
    from stillhouse.errors import RecipeError

    try:
        channels, height, width = (int(size) for size in text.split(","))
    except ValueError:
        said = f"{option} {text}: write channels,height,width such as 3,32,32"
        raise RecipeError(command, [said]) from None
    for name, size in {"channels": channels, "height": height, "width": width}.items():
        problem = misfit(Side, size)
        if problem:
            raise RecipeError(command, [f"{option} {text}: {name} are {size}; {problem}"])
    return channels, height, width
