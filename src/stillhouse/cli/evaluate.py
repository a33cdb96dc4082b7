"""``stillhouse evaluate``: how good the student of a run is on labelled images."""

from typing import Annotated

import typer

from stillhouse.cli.options import AllowProgram, RunDirectory

SHOWN = 10
"""Classes that are listed, the worst first."""


def evaluate(
    run: RunDirectory,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="Labelled images, a source as in a recipe: its test part, or all of it where it "
            "has none.",
        ),
    ],
    image: Annotated[str | None, typer.Option(help="Column of the images, where needed.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the labels, where needed.")] = None,
    allow_program: AllowProgram = False,
) -> None:
    """Say how often the student is right on other images of its classes, and on which class."""
    from stillhouse.data.sources.find import find
    from stillhouse.deploy.evaluation import evaluate_on
    from stillhouse.deploy.predictor import Predictor

    predictor = Predictor(run, allow_program=allow_program)
    source = find(data, image, label, True)
    part = "test" if "test" in source.parts else "train"
    found = evaluate_on(predictor, source.parts[part], source.classes)
    for note in source.notes:
        typer.echo(f"warning: {note}", err=True)
    what = f"the {part} part of {data}" if len(source.parts) > 1 else f"all of {data}"
    typer.echo(f"accuracy {100 * found.accuracy:.2f}% on {found.rows:,} images, {what}")
    worst = sorted(found.by_class.items(), key=lambda item: item[1])
    for name, share in worst[:SHOWN]:
        typer.echo(f"  {name}: {100 * share:.1f}%")
    if len(worst) > SHOWN:
        typer.echo(f"  ... and {len(worst) - SHOWN} classes that are better")
