"""``stillhouse taps``: where a model can be listened to, and what to listen to beside a teacher."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli.options import AllowImports, NumberOfClasses, image_shape
from stillhouse.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from stillhouse.cli.terminal import Terminal
    from stillhouse.runs.job.networks import Network

IMAGES = 128
LOW_LIKENESS = 0.3
"""Of linear CKA: below it none of the layers was alike, and the best of them says little."""


def taps(
    model: Annotated[
        str, typer.Argument(help="A network ('stillhouse ls models').", metavar="MODEL")
    ],
    classes: NumberOfClasses = 10,
    image: Annotated[
        str, typer.Option(help="Shape of its input: CHANNELS,HEIGHT,WIDTH in pixels.")
    ] = "3,32,32",
    weights: Annotated[Path | None, typer.Option(help="File of its weights.")] = None,
    teacher: Annotated[
        str | None, typer.Option(help="A teacher: propose which layers to pair with its layers.")
    ] = None,
    teacher_weights: Annotated[
        Path | None,
        typer.Option(help="File of the teacher's weights; without it the teacher is untrained."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Images to compare the layers on (default: random numbers).")
    ] = None,
    allow_imports: AllowImports = False,
) -> None:
    """List the layers that a method can use, with the shapes of their outputs.

    B stands for the batch size.
    """
    from rich.table import Table

    from stillhouse.cli.terminal import Terminal
    from stillhouse.engine.probe import probe_taps

    for option, given in {"--teacher-weights": teacher_weights, "--data": data}.items():
        if given is not None and teacher is None:
            said = f"{option} is for pairs of layers; add --teacher MODEL, or leave it out"
            raise RecipeError("taps", [said])
    shape = image_shape(image, "taps")
    console = Terminal()
    student = _network(model, classes, shape, weights, allow_imports).make(0)
    table = Table(box=None, pad_edge=False)
    table.add_column("tap", style="bold", no_wrap=True)
    table.add_column("module")
    table.add_column("shape", no_wrap=True)
    for row in probe_taps(student, shape):
        table.add_row(row.tap, row.kind, row.shape)
    console.table(table)
    if teacher is not None:
        other = _network(teacher, classes, shape, teacher_weights, allow_imports).make(1)
        _pairs(console, student, other, _images(data, shape))


def _network(
    model: str, classes: int, shape: tuple[int, int, int], weights: Path | None, imports: bool
) -> "Network":
    from stillhouse.recipes.networks import ModelSection
    from stillhouse.runs.job.networks import Network

    section = ModelSection(model=model, weights=weights)
    return Network(section, classes, shape[0], shape[1], None, imports)


def _images(data: str | None, shape: tuple[int, int, int]) -> "Tensor":
    import torch

    from stillhouse.engine.platform import open_platform
    from stillhouse.errors import RecipeError
    from stillhouse.recipes.data import DataSection
    from stillhouse.runs.job.data import open_data

    if data is None:
        return torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    section = DataSection(source=data, augment="none", size=shape[1])
    found = open_data(section, IMAGES, open_platform(device="cpu")).train(0).sample(IMAGES)
    images = found["batch.image"]
    if tuple(images.shape[1:]) != shape:
        said = f"--data {data} has images {list(images.shape[1:])}, the models take {list(shape)}"
        raise RecipeError("taps", [f"{said}; say it with --image"])
    return images


def _pairs(
    console: "Terminal", student: "nn.Module", teacher: "nn.Module", images: "Tensor"
) -> None:
    from rich.table import Table

    from stillhouse.pairing import proposals

    table = Table(box=None, pad_edge=False, title="Pairs of layers", title_justify="left")
    for column in ("pairs", "student", "shape", "teacher", "shape", "likeness"):
        table.add_column(column, no_wrap=True)
    found = proposals(student, teacher, images)
    for pair in found:
        shapes = (str(list(shape)) for shape in (pair.my_shape, pair.their_shape))
        mine, theirs = shapes
        table.add_row(pair.by, pair.mine, mine, pair.theirs, theirs, f"{pair.likeness:.3f}")
    console.table(table)
    console.print(
        "Take them as they are (pairs: levels or pairs: auto in a method of features), or name "
        "your own.",
        markup=False,
    )
    low = [pair.likeness for pair in found if pair.by == "auto" and pair.likeness < LOW_LIKENESS]
    if low:
        console.print(
            f"Caution: in {len(low)} of the pairs of 'auto' the likeness is as low as "
            f"{min(low):.2f}, below {LOW_LIKENESS:g}: no better one was found, so they say little. "
            "Prefer levels, or name the pairs.",
            markup=False,
        )
