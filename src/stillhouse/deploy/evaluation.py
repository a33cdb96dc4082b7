"""How good a student (or a file made of it) is on labelled images or texts."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.data.tables import FloatTable, Images, ImageTable, Table, images_of
from stillhouse.data.text.table import TextTable
from stillhouse.deploy.predictor import Predictor
from stillhouse.deploy.sentences import Sentences
from stillhouse.errors import DataError
from stillhouse.functional.tokens import next_token_loss
from stillhouse.models.calling import run_on
from stillhouse.models.outputs import LOGITS, named_outputs

BATCH, PASSAGES = 64, 8
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
        cut: rows of which the student read a part, such as texts that are longer than its rows.
    """

    accuracy: float
    rows: int
    by_class: dict[str, float]
    predicted: Tensor
    cut: int = 0


def taken_of(table: Table, predictor: Predictor, *, batch: int = BATCH) -> Iterator[Tensor]:
    """The rows of a table as the program takes them, batch by batch.

    Shapes:
        of images uint8 [B, C, H, W], of texts int64 [B, 2, length].

    Raises:
        DataError: they are floats, or the program takes something else.
    """
    if isinstance(table, TextTable) and isinstance(predictor.preprocess, Sentences):
        for at in range(0, len(table), batch):
            texts = table.texts[at : at + batch].tolist()
            yield torch.stack([predictor.preprocess.of(text) for text in texts])
        return
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
        table: images or texts, and labels.
        classes: what labels are numbers of; they must be the student's, in any order.
        answers: of a file that was made of it, instead of its own.

    Raises:
        DataError: other classes, or no rows.
    """
    if predictor.config.output != "logits":
        raise DataError(
            f"the student gives embeddings (task {predictor.config.task}), and accuracy is of "
            "classes; its figures are in the run's scores.json"
        )
    label = places(predictor.classes, classes)[table.labels]
    told = answers or predictor.outputs
    found = [told(taken).argmax(1) for taken in taken_of(table, predictor)]
    if not found:
        raise DataError(f"there are no {predictor.preprocess.row}s to evaluate on")
    predicted = torch.cat(found)
    right = predicted == label
    by_class = {
        name: float(right[label == at].float().mean())
        for at, name in enumerate(predictor.classes)
        if bool((label == at).any())
    }
    cut = 0
    if isinstance(table, TextTable) and isinstance(predictor.preprocess, Sentences):
        cut = predictor.preprocess.tokens.rows(table.texts.tolist())[2]
    return Evaluation(float(right.float().mean()), len(right), by_class, predicted, cut)


def perplexity_on(predictor: Predictor, table: Table) -> tuple[float, int]:
    """``exp`` of the mean of -log p(next token) over texts as one, and how many tokens were told.

    As the task measures it: texts are joined and cut into passages, what is left over is left out.

    Raises:
        DataError: the student is no language model, or the texts fill no passage.
        ModelError: it can only be run as a program, which tells the last token alone.
    """
    taken = predictor.preprocess
    if not (isinstance(taken, Sentences) and taken.causal and isinstance(table, TextTable)):
        raise DataError(f"perplexity is of language models on texts; this student is "
                        f"{predictor.config.task} on {taken.row}s")  # fmt: skip
    ids, left = taken.tokens.passages(table.texts.tolist())
    if not len(ids):
        raise DataError(f"the texts have {left:,} tokens, and a passage is {taken.length} long; "
                        "give more of them")  # fmt: skip
    total, count = 0.0, 0
    with torch.inference_mode():
        for rows in ids.long().split(PASSAGES):
            given = {"input_ids": rows, "attention_mask": torch.ones_like(rows)}
            logits = named_outputs(run_on(predictor.model, given))[LOGITS]
            sums, counts = next_token_loss(logits, rows)
            total, count = total + float(sums.sum()), count + int(counts.sum())
    return math.exp(min(total / count, 700.0)), count


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
            f"the data have {len(theirs)} class{'es' if len(theirs) > 1 else ''}, and the student "
            "does not know "
            f"{', '.join(strange[:3])}{more}; it knows {len(mine)}: {', '.join(mine[:5])}"
            + (", ..." if len(mine) > 5 else "")
            + ". Call the classes as the student does, or leave the others out"
        )
    return torch.tensor([mine.index(str(name)) for name in theirs], dtype=torch.int64)
