"""Options that several commands share, and the ranges of their numbers.

What becomes a key of a recipe (``--epochs``, ``--ratio``) is checked with the recipe.
"""

import sys
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


Out = Annotated[
    Path,
    typer.Option("-o", "--out", help="Directory of the run; a run stopped there continues."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, such as --set method.temperature=2; repeatable.",
    ),
]
RecipeFile = Annotated[
    Path,
    typer.Argument(
        help="A recipe or study: a YAML file, or a name of 'stillhouse ls recipes'; or the "
        "directory of a run or study.",
        metavar="RECIPE",
    ),
]
Shared = Annotated[
    Path | None,
    typer.Option(
        help="Directory of the teachers and controls that several runs share "
        "(default: beside the run)."
    ),
]
AllowImports = Annotated[
    bool,
    typer.Option(
        "--allow-imports",
        help="Let a recipe import code of yours, named python:MODULE:NAME (networks, methods, "
        "tasks, data).",
    ),
]
Track = Annotated[
    str | None,
    typer.Option(
        metavar="TRACKER",
        help="Also send the curves to tensorboard, mlflow, trackio or wandb (several: separated by "
        "commas); or none.",
    ),
]
RunDirectory = Annotated[
    Path,
    typer.Argument(help="Directory of a finished run, or its folder 'student'.", metavar="RUN"),
]
AllowProgram = Annotated[
    bool,
    typer.Option(
        "--allow-program",
        help="Load model.pt2 if the network cannot be built by its name. Such a file may run code: "
        "allow it only for folders of people you trust.",
    ),
]
WeightsKey = Annotated[
    str | None,
    typer.Option(help="Key of the state dict in the weights file, if the file holds several."),
]
WeightsPrefix = Annotated[
    str | None,
    typer.Option(
        help="Prefix of the names in the weights file, if the file holds several networks."
    ),
]
NumberOfClasses = Annotated[
    int,
    typer.Option("--classes", callback=within(Classes), help="Number of classes."),
]
SeedOfDraws = Annotated[
    int, typer.Option("--seed", callback=within(Seed), help="Seed of all random numbers.")
]
On = Annotated[
    str | None,
    typer.Option(
        "--on", metavar="ray", help="Spread the work over a Ray cluster (extra 'ray').",
        autocompletion=lambda: ["ray"],
    ),
]  # fmt: skip
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="With --on ray: the head of the cluster, or auto (default: RAY_ADDRESS, else a "
        "cluster of this machine alone).",
    ),
]
Cpus = Annotated[
    int,
    typer.Option(
        min=1, help="With --on ray: cores of each task, and the threads that it computes with."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress, only the result.")]


def check_on(on: str | None, address: str | None) -> bool:
    """Whether the work is spread over a cluster.

    Raises:
        RecipeError: over one of another kind than Ray, or an address is given without it.
    """
    from stillhouse.errors import RecipeError, nearest

    if on not in (None, "ray"):
        raise RecipeError("--on", [f"there is no '{on}'; {nearest(str(on), ['ray'])}"])
    if on is None and address is not None:
        raise RecipeError("--address", ["it is that of a Ray cluster; add --on ray"])
    return on is not None


TARGET = "Processor that an int8 file is for: x86 (any), vnni, or arm."


def among(*choices: str) -> Callable[[str], list[str]]:
    """What a shell completes the value of an option to.

    >>> among("x86", "vnni", "arm")("v")
    ['vnni']
    """

    def completed(incomplete: str) -> list[str]:
        return [each for each in choices if each.startswith(incomplete)]

    return completed


def loading(*, quiet: bool = False) -> None:
    """A line in a terminal, before what takes seconds to import."""
    if not quiet and sys.stdout is not None and sys.stdout.isatty():
        typer.echo("loading PyTorch ...")


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
