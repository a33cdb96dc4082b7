"""``stillhouse synthesize``: a transfer set from the weights of a teacher, without its data."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse.cli.options import (
    NumberOfClasses,
    Quiet,
    SeedOfDraws,
    WeightsKey,
    WeightsPrefix,
    image_shape,
    within,
)
from stillhouse.engine.settings import Count


def synthesize(
    weights: Annotated[
        Path, typer.Argument(help="File of the teacher's weights.", metavar="WEIGHTS")
    ],
    model: Annotated[str, typer.Option(help="Network of the teacher ('stillhouse ls models').")],
    shape: Annotated[
        str, typer.Option(help="Shape of its images: CHANNELS,HEIGHT,WIDTH in pixels.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Directory for the images.")],
    count: Annotated[int, typer.Option(callback=within(Count), help="Number of images.")],
    weights_key: WeightsKey = None,
    weights_prefix: WeightsPrefix = None,
    classes: NumberOfClasses = 10,
    method: Annotated[
        str,
        typer.Option(
            help="Method: zero_shot, inversion, ... (see the docs on training without data)."
        ),
    ] = "zero_shot",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the method, such as --set steps=500; repeatable.",
        ),
    ] = None,
    seed: SeedOfDraws = 0,
    data: Annotated[
        str | None,
        typer.Option(
            help="Training images to show in the report beside those made; not used otherwise."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: Quiet = False,
) -> None:
    """Make training images out of a trained classifier, without its data.

    The directory can then be the data of a recipe (data: DIRECTORY).
    """
    from stillhouse.cli.terminal import Terminal
    from stillhouse.engine.platform import open_platform
    from stillhouse.models import build_model, load_weights
    from stillhouse.recipes import override
    from stillhouse.report import write_transfer_report
    from stillhouse.runs.progress import progress_shown
    from stillhouse.synthesis import make_maker
    from stillhouse.synthesis import synthesize as make
    from stillhouse.synthesis.gallery import training_images

    sides = image_shape(shape, "synthesize", "--shape")
    platform = open_platform(device=device, precision="fp32")
    training = None if data is None else training_images(data, sides)
    maker = make_maker({"name": method, **override({}, settings or [])})
    teacher = build_model(model, classes=classes, channels=sides[0], size=sides[1])
    read = load_weights(teacher, weights, key=weights_key, prefix=weights_prefix)
    console = Terminal()
    if not read.whole:
        console.print(f"teacher: {read}", markup=False)
    with progress_shown(quiet=quiet, log=True) as watcher:
        if platform.world > 1:
            watcher.say(f"one of {platform.world} processes makes the images; the others wait")
        made = make(
            teacher, method=maker, count=count, image_shape=sides, out=out, seed=seed,
            platform=platform, observer=watcher,
        )  # fmt: skip
    console.print(_told(made.directory, made.manifest), markup=False)
    page = platform.by_main(lambda: write_transfer_report(made.directory, training=training))
    console.print(f"Report: {page}", markup=False)


def _told(directory: Path, manifest: Any) -> str:
    balance = manifest["balance"]
    return (
        f"{manifest['count']} images in {directory} ({manifest['seconds']:.1f} s, "
        f"{manifest['images_per_second']:.1f} images/s). The teacher gives each class between "
        f"{balance['smallest_class']} and {balance['largest_class']} of them."
    )
