"""``stillhouse predict``: what the student of a run sees in images, or says of texts."""

import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli.options import AllowProgram, RunDirectory, among
from stillhouse.errors import DataError, RecipeError
from stillhouse.records.files import replacing, write_text

if TYPE_CHECKING:
    from stillhouse.deploy.detector import DetectorPredictor
    from stillhouse.deploy.predictor import Prediction, Predictor

LEAST = 0.05
"""The score below which a detector's boxes are not told, as torchvision's detectors have it."""
UNREADABLE = 3
"""Exit code where some images could not be read, and the others were predicted."""


def predict(
    run: RunDirectory,
    images: Annotated[
        list[str],
        typer.Argument(
            help="Image files or folders, or - to read names of files from stdin. For a student of "
            "texts: texts, .txt files with one text a line, tables (.csv, .tsv, .jsonl, .parquet), "
            "or - to read lines from stdin.",
            metavar="INPUT",
        ),
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="table, csv, json (one object a line) or npz (needs -o).",
            autocompletion=among("table", "csv", "json", "npz"),
        ),
    ] = "table",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File to write (default: the screen).")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Column of the texts, if the input is a table.")
    ] = None,
    least: Annotated[
        float | None,
        typer.Option(help="For detectors: lowest score of a box (default: 0.05).", min=0, max=1),
    ] = None,
    allow_program: AllowProgram = False,
) -> None:
    """Classify images or texts with the student of a run.

    Prints the class and its probability. Of two images, a student of face verification says
    whether they show one person, with the cosine of their embeddings and the threshold; of other
    numbers of images, and in csv, json and npz, it gives the embeddings.
    A detector gives boxes: class, score, left, top, right, bottom in pixels of each image.
    """
    from stillhouse.deploy.detector import DetectorPredictor
    from stillhouse.deploy.predictor import load
    from stillhouse.deploy.sentences import Sentences

    if form not in (*FORMS, NPZ):
        raise RecipeError("predict", [f"no format '{form}'; there is: {', '.join((*FORMS, NPZ))}"])
    if form == NPZ and out is None:
        raise RecipeError("predict", ["npz is a file of numbers, no text: say where (-o FILE)"])
    if out is not None and out.exists():
        raise DataError(f"{out} is there already; give another file (-o)")
    predictor = load(run, allow_program=allow_program)
    if isinstance(predictor, DetectorPredictor):
        _boxes(predictor, images, form, out, text, least)
        return
    if least is not None:
        raise RecipeError("predict", ["--least is of a detector, and this student finds no boxes"])
    what, of_texts = f"{predictor.preprocess.row}s", isinstance(predictor.preprocess, Sentences)
    if text is not None and not of_texts:
        raise RecipeError("predict", ["--text is of a student of texts, and this one reads images"])
    names = list(texts_listed(images, text) if of_texts else listed(images))
    if not names:
        raise DataError(f"there are no {what} in {', '.join(images)}")
    failed: list[str] = []
    found = answered(predictor, names, failed)
    if form == NPZ and out is not None:
        _as_npz(out, list(found), predictor)
    elif form == "table" and len(names) == 2 and predictor.config.threshold is not None:
        line = _of_two(predictor, list(found))
        typer.echo(line) if out is None else write_text(out, f"{line}\n")
    elif out is not None:
        with replacing(out) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
            FORMS[form](file, found, predictor)
    else:
        FORMS[form](sys.stdout, found, predictor)
    _say_failed(failed, len(names), what)


def _say_failed(failed: Sequence[str], count: int, what: str) -> None:
    """Name what could not be read, with an exit code of its own."""
    for line in failed:
        typer.echo(line, err=True)
    if failed:
        typer.echo(f"{len(failed)} of {count} {what} could not be read", err=True)
        raise typer.Exit(UNREADABLE)


def _boxes(
    predictor: "DetectorPredictor",
    images: Sequence[str],
    form: str,
    out: Path | None,
    text: str | None,
    least: float | None,
) -> None:
    """The same of a student that finds boxes."""
    from stillhouse.cli.detecting import predict_boxes

    if text is not None:
        raise RecipeError("predict", ["--text is of a student of texts, and this one reads images"])
    names = list(listed(images))
    if not names:
        raise DataError(f"there are no images in {', '.join(images)}")
    failed = predict_boxes(predictor, names, form, out, LEAST if least is None else least)
    _say_failed(failed, len(names), "images")


def listed(given: Sequence[str]) -> Iterator[str]:
    """The files that are meant: folders are read through, - is a list on stdin, a name a line.

    What lies in a folder and is no image is counted, and said on stderr.
    """
    from stillhouse.data.sources.files import LeftOut, image_files

    for name in given:
        if name == "-":
            lines = (os.fsdecode(line).rstrip("\r\n") for line in sys.stdin.buffer)
            yield from (line for line in lines if line.strip())
        elif Path(name).is_dir():
            left = LeftOut()
            yield from (os.path.join(name, path) for path in image_files(Path(name), left))
            if left:
                typer.echo(f"{name}: left out are {left}", err=True)
        else:
            yield name


def texts_listed(given: Sequence[str], column: str | None = None) -> Iterator[str]:
    """The texts that are meant: of a table, lines of a .txt file or of stdin (-), else the words.

    >>> list(texts_listed(["a fine film"]))
    ['a fine film']
    """
    from stillhouse.data.text.sources import FILES, texts_of

    for text in given:
        if text == "-":
            lines = (line.strip().removeprefix("\ufeff") for line in sys.stdin)
            yield from (line for line in lines if line)
        elif Path(text).suffix.lower() in (".txt", *FILES):
            yield from texts_of(Path(text), column)
        else:
            yield text


def answered(
    predictor: "Predictor", names: Sequence[str], failed: list[str], *, batch: int = 64
) -> "Iterator[Prediction]":
    """Predictions of the images that can be read; why the others cannot is added to ``failed``."""
    import torch

    from stillhouse.data.sources.files import shown

    for start in range(0, len(names), batch):
        there, pixels = [], []
        for name in names[start : start + batch]:
            try:
                pixels.append(predictor.preprocess.of(name))
                there.append(shown(name))
            except DataError as error:
                failed.append(str(error))
        if there:
            yield from predictor.told(there, predictor.outputs(torch.stack(pixels)))


def _of_two(predictor: "Predictor", found: "Sequence[Prediction]") -> str:
    """Whether two images are of one person; that it cannot be said where one was not read."""
    if len(found) != 2:
        return "not compared: it takes two images"
    one = predictor.compared(found[0].output, found[1].output)
    said = "same" if one.same else "different"
    return f"{said}  cosine {one.cosine:.4f}, threshold {one.threshold:.4f}"


def _as_npz(out: Path, found: "Sequence[Prediction]", predictor: "Predictor") -> None:
    """Arrays of numpy: names of the rows, and embeddings, or logits and their classes."""
    import numpy as np
    import torch

    kind = "embedding" if found and found[0].label is None else "logits"
    rows = torch.stack([each.output for each in found]).numpy() if found else np.empty((0, 0))
    arrays: dict[str, Any] = {
        predictor.preprocess.row: np.array([each.name for each in found], dtype=np.str_),
        kind: rows,
    }
    if kind == "logits":
        arrays["classes"] = np.array(predictor.classes, dtype=np.str_)
    with replacing(out) as fresh, Path(fresh).open("wb") as file:
        np.savez(file, **arrays)


def _as_table(file: "Out", found: "Iterator[Prediction]", _predictor: "Predictor") -> None:
    from stillhouse.data.sources.files import on_one_line

    for each in found:
        file.write(f"{on_one_line(f'{each.name}  {_words(each)}')}\n")


def _words(each: "Prediction") -> str:
    if each.label is None:
        return " ".join(f"{value:.4f}" for value in each.output.tolist())
    return f"{each.label}  {100 * (each.probability or 0.0):.1f}%"


def _as_csv(file: "Out", found: "Iterator[Prediction]", predictor: "Predictor") -> None:
    rows = csv.writer(file)
    embeds = predictor.config.output == "embedding"
    header = [predictor.preprocess.row, *(["embedding"] if embeds else ["class", "probability"])]
    for number, each in enumerate(found):
        if number == 0:  # no header where nothing could be read
            rows.writerow(header)
        if each.label is None:
            rows.writerow([each.name, " ".join(f"{value:.6f}" for value in each.output.tolist())])
        else:
            rows.writerow([each.name, each.label, f"{each.probability:.6f}"])


def _as_json(file: "Out", found: "Iterator[Prediction]", predictor: "Predictor") -> None:
    for each in found:
        line: dict[str, object] = {predictor.preprocess.row: each.name}
        if each.label is None:
            line["embedding"] = [round(value, 6) for value in each.output.tolist()]
        else:
            shares = each.output.softmax(0).tolist()
            line |= {"class": each.label, "probability": round(each.probability or 0.0, 6)}
            line["probabilities"] = {
                name: round(share, 6) for name, share in zip(predictor.classes, shares, strict=True)
            }
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


if TYPE_CHECKING:
    from typing import TextIO as Out

NPZ = "npz"
FORMS = {"table": _as_table, "csv": _as_csv, "json": _as_json}
