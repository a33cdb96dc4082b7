"""``stillhouse evaluate``: how good the student of a run is on labelled rows."""

from typing import Annotated

import typer

from stillhouse.cli.detecting import evaluate_boxes
from stillhouse.cli.options import AllowProgram, RunDirectory, among
from stillhouse.errors import RecipeError

SHOWN = 10
"""Classes that are listed, the worst first."""


def evaluate(
    run: RunDirectory,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="Labelled images or texts: a name, folder or file as in a recipe. Its test set is "
            "used, or all of it if there is no test set.",
        ),
    ],
    image: Annotated[
        str | None, typer.Option(help="Column of the images, if the data are a table.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Column of the texts, if the data are a table.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Column of the labels, if the data are a table.")
    ] = None,
    annotations: Annotated[
        str | None,
        typer.Option(
            help="For detectors: format of the annotations, if the layout fits several.",
            autocompletion=among("coco", "yolo", "voc", "objects"),
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(help="For detectors: what the four numbers of a box are, such as xyxy."),
    ] = None,
    allow_program: AllowProgram = False,
) -> None:
    """Measure the accuracy of a student on other labelled images or texts, by class.

    Of a detector it measures mAP, and AP by class. Of a language model it measures the perplexity
    on the texts.
    """
    from stillhouse.data.sources.find import find
    from stillhouse.data.text.sources import read_texts
    from stillhouse.deploy.detector import DetectorPredictor
    from stillhouse.deploy.evaluation import evaluate_on, perplexity_on
    from stillhouse.deploy.predictor import load
    from stillhouse.deploy.sentences import Sentences

    predictor = load(run, allow_program=allow_program)
    if isinstance(predictor, DetectorPredictor):
        if text is not None:
            raise RecipeError("evaluate", ["--text is of a student of texts; this one finds boxes"])
        evaluate_boxes(predictor, data, annotations, boxes, image, label)
        return
    asked = [("annotations", annotations), ("boxes", boxes)]
    strange = next((f"--{name}" for name, value in asked if value is not None), None)
    if strange is not None:
        said = f"{strange} is of a detector, and this student finds no boxes; leave it out"
        raise RecipeError("evaluate", [said])
    taken = predictor.preprocess
    of_texts = isinstance(taken, Sentences)
    unfit = ("text", text) if not of_texts else ("image", image)
    if unfit[1] is not None:
        said = f"--{unfit[0]} is of a student of {unfit[0]}s, and this one reads {taken.row}s"
        raise RecipeError("evaluate", [said])
    causal = isinstance(taken, Sentences) and taken.causal
    if of_texts:
        source = read_texts(data, text, label, labelled=not causal)
    else:
        source = find(data, image, label, True, open_set=True)
    part = "test" if "test" in source.parts else "train"
    for note in source.notes:
        typer.echo(f"warning: {note}", err=True)
    what = f"the {part} part of {data}" if len(source.parts) > 1 else f"all of {data}"
    if causal:
        perplexity, tokens = perplexity_on(predictor, source.parts[part])
        typer.echo(f"perplexity {perplexity:.2f} on {tokens:,} tokens, {what}")
        return
    found = evaluate_on(predictor, source.parts[part], source.classes)
    typer.echo(f"accuracy {100 * found.accuracy:.2f}% on {found.rows:,} {taken.row}s, {what}")
    if found.cut:
        typer.echo(f"{found.cut:,} of them are longer than the student reads and were cut")
    worst = sorted(found.by_class.items(), key=lambda item: item[1])
    for name, share in worst[:SHOWN]:
        typer.echo(f"  {name}: {100 * share:.1f}%")
    if len(worst) > SHOWN:
        typer.echo(f"  ... and {len(worst) - SHOWN} classes that are better")
