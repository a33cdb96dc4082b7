"""How good a student (or a file made of it) is on labelled images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.data.tables import FloatTable, Images, ImageTable, Table, images_of
from stillhouse.deploy.predictor import Predictor
from stillhouse.errors import DataError

BATCH = 64
Answers = Callable[[Tensor], Tensor]
"""From pixels [B, C, H, W] to logits."""


@dataclass(frozen=True)
class Evaluation:
    """Accuracy on the rows of a table.

    Args:
        accuracy: share of rows whose class is the first.
        rows: how many.
        by_class: share by name of the class, of those that have rows.
        predicted: the class of each row, int64 [N].
    """

    accuracy: float
    rows: int
    by_class: dict[str, float]
    predicted: Tensor


def pixels_in(table: Table, predictor: Predictor, *, batch: int = BATCH) -> Iterator[Tensor]:
    """The images of a table as the program takes them, batch by batch, uint8 [B, C, H, W].

    Raises:
        DataError: they are floats, or the program takes no pixels.
    """
    if isinstance(table, FloatTable):
        raise DataError("these data are floats as a network sees them; give images")
    images = images_of(table, "evaluation of a program that takes pixels")
    for start in range(0, len(table), batch):
        rows = range(start, min(start + batch, len(table)))
        yield torch.stack([predictor.preprocess.of(*_image(images, row)) for row in rows])


def _image(table: Images, row: int) -> tuple[object, str]:
    if isinstance(table, ImageTable):
        stored = int(table.stored(torch.tensor(row)))
        return table.images[stored].permute(2, 0, 1), f"row {row}"
    return table.read(row), table.where(row)


def evaluate_on(
    predictor: Predictor,
    table: Table,
    classes: tuple[str, ...],
    answers: Answers | None = None,
) -> Evaluation:
    """Compare the first class of each image with its label.

    Args:
        predictor: the student.
        table: images and labels.
        classes: what labels are numbers of; they must be the student's, in any order.
        answers: of a file that was made of it, instead of its own.

    Raises:
        DataError: other classes, or no images.
    """
    if predictor.config.output != "logits":
        raise DataError(
            f"the student gives embeddings (task {predictor.config.task}), and accuracy is of "
            "classes; its figures are in the run's scores.json"
        )
    label = places(predictor.classes, classes)[table.labels]
    told = answers or predictor.outputs
    found = [told(pixels).argmax(1) for pixels in pixels_in(table, predictor)]
    if not found:
        raise DataError("there are no images to evaluate on")
    predicted = torch.cat(found)
    right = predicted == label
    by_class = {
        name: float(right[label == at].float().mean())
        for at, name in enumerate(predictor.classes)
        if bool((label == at).any())
    }
    return Evaluation(float(right.float().mean()), len(right), by_class, predicted)


def places(mine: tuple[str, ...], theirs: tuple[str, ...]) -> Tensor:
    """Where each class of some data is among the student's, int64.

    Raises:
        DataError: a class that the student does not know.

    >>> places(("cat", "dog"), ("dog", "cat")).tolist()
    [1, 0]
    """
    strange = [name for name in map(str, theirs) if name not in mine]
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise DataError(
            f"the data have {len(theirs)} classes, and the student does not know "
            f"{', '.join(strange[:3])}{more}; it knows {len(mine)}: {', '.join(mine[:5])}"
            + (", ..." if len(mine) > 5 else "")
        )
    return torch.tensor([mine.index(str(name)) for name in theirs], dtype=torch.int64)
