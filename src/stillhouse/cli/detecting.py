"""``stillhouse predict`` and ``evaluate`` of a run whose student finds boxes."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, get_args

import typer

from stillhouse.errors import DataError, RecipeError
from stillhouse.records.files import replacing

if TYPE_CHECKING:
    from stillhouse.deploy.detector import Boxes, DetectorPredictor

HEAD = ("image", "class", "score", "left", "top", "right", "bottom")
SHOWN = 10
"""Classes that are listed, the worst first."""


def predict_boxes(
    predictor: "DetectorPredictor",
    names: Sequence[str],
    form: str,
    out: Path | None,
    least: float,
) -> list[str]:
    """Write the boxes of images.

    Args:
        predictor: the student.
        names: files of images.
        form: one of `FORMS`, or 'npz' with ``out``.
        out: where to; None: to the screen.
        least: the score below which nothing is told.

    Returns:
        why some images could not be read.
    """
    failed: list[str] = []
    bare: list[str] = []
    found = _told(predictor, names, least, failed, bare)
    if out is None:
        FORMS[form](sys.stdout, found)
    elif form == "npz":
        _as_npz(out, list(found), predictor.classes)
    else:
        with replacing(out) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
            FORMS[form](file, found)
    if bare:
        what = "images have" if len(bare) > 1 else "image has"
        typer.echo(
            f"{len(bare):,} {what} no box with a score of {least:g} or more (--least), such as "
            f"{bare[0]}",
            err=True,
        )
    return failed


def _told(
    predictor: "DetectorPredictor",
    names: Sequence[str],
    least: float,
    failed: list[str],
    bare: list[str],
    *,
    batch: int = 16,
) -> "Iterator[Boxes]":
    """What is found in the images that can be read, a few at a time."""
    from stillhouse.data.sources.files import shown
    from stillhouse.deploy.detector import opened_image

    for start in range(0, len(names), batch):
        there, images = [], []
        for name in names[start : start + batch]:
            try:
                images.append(opened_image(name, name))
                there.append(shown(name))
            except DataError as error:
                failed.append(str(error))
        for each in predictor.found(there, images, least=least) if images else []:
            if not each.labels:
                bare.append(each.name)
            yield each


def _rows(each: "Boxes") -> Iterator[tuple[str, float, list[float]]]:
    """Class, score and corners of each box."""
    for name, score, box in zip(
        each.labels, each.scores.tolist(), each.boxes.tolist(), strict=True
    ):
        yield name, round(score, 6), [round(value, 2) for value in box]


def _as_table(file: TextIO, found: "Iterator[Boxes]") -> None:
    from stillhouse.data.sources.files import on_one_line

    for each in found:
        for name, score, box in _rows(each):
            sides = " ".join(f"{value:.1f}" for value in box)
            file.write(f"{on_one_line(f'{each.name}  {name}  {100 * score:.1f}%  {sides}')}\n")


def _as_csv(file: TextIO, found: "Iterator[Boxes]") -> None:
    rows = csv.writer(file)
    rows.writerow(HEAD)
    for each in found:
        rows.writerows([each.name, name, f"{score:.6f}", *box] for name, score, box in _rows(each))


def _as_json(file: TextIO, found: "Iterator[Boxes]") -> None:
    for each in found:
        boxes = [{"class": name, "score": score, "box": box} for name, score, box in _rows(each)]
        file.write(json.dumps({"image": each.name, "boxes": boxes}, ensure_ascii=False) + "\n")


def _as_npz(out: Path, found: "Sequence[Boxes]", classes: Sequence[str]) -> None:
    """Arrays of numpy, a row for each box: its image, corners, class (a number) and score."""
    import numpy as np

    rows = [(each.name, *row) for each in found for row in _rows(each)]
    with replacing(out) as fresh, Path(fresh).open("wb") as file:
        np.savez(
            file,
            image=np.array([row[0] for row in rows], dtype=np.str_),
            box=np.array([row[3] for row in rows], dtype=np.float32).reshape(-1, 4),
            label=np.array([classes.index(row[1]) for row in rows], dtype=np.int64),
            score=np.array([row[2] for row in rows], dtype=np.float32),
            classes=np.array(classes, dtype=np.str_),
        )


def evaluate_boxes(
    predictor: "DetectorPredictor",
    data: str,
    annotations: str | None,
    boxes: str | None,
    image: str | None,
    objects: str | None,
) -> None:
    """Say mAP of a student on other images with boxes, and AP of each class."""
    from stillhouse.data.detection.box_forms import BoxForm, Format
    from stillhouse.data.detection.sources import read_boxes
    from stillhouse.data.detection.table import BoxTable
    from stillhouse.deploy.detector_evaluation import evaluate_detector

    source = read_boxes(
        data,
        annotations=_one_of(annotations, Format, "annotations"),
        boxes=_one_of(boxes, BoxForm, "boxes"),
        image=image,
        objects=objects,
        train=False,
    )
    part = "test" if "test" in source.parts else next(iter(source.parts))
    for note in source.notes:
        typer.echo(f"warning: {note}", err=True)
    table = source.parts[part]
    if not isinstance(table, BoxTable):
        raise DataError(f"{data} has no images with boxes")
    found = evaluate_detector(predictor, table)
    what = f"the {part} part of {data}" if len(source.parts) > 1 else f"all of {data}"
    first, *others = (f"{name} {100 * value:.2f}%" for name, value in found.named.items())
    typer.echo(f"{first} on {len(table):,} images, {what}")
    typer.echo(f"  {', '.join(others)}")
    worst = sorted(found.of_class.items(), key=lambda item: item[1])
    for number, value in worst[:SHOWN]:
        typer.echo(f"  AP of {predictor.classes[number]}: {100 * value:.1f}%")
    if len(worst) > SHOWN:
        typer.echo(f"  ... and {len(worst) - SHOWN} classes that are better")


def _one_of(given: str | None, kind: Any, option: str) -> Any:
    """An option that is one of a few words."""
    known = get_args(kind)
    if given is not None and given not in known:
        raise RecipeError("evaluate", [f"--{option} is '{given}'; choose among {', '.join(known)}"])
    return given


FORMS: dict[str, Callable[[TextIO, "Iterator[Boxes]"], None]] = {
    "table": _as_table,
    "csv": _as_csv,
    "json": _as_json,
}
