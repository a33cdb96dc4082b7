"""An exported file beside the student it was made of, on the same rows."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.deploy.kept_rows import LABELS, kept_rows, rows_of
from stillhouse.deploy.onnx import Parity, answers_of
from stillhouse.deploy.predictor import Predictor
from stillhouse.deploy.program import ExportError
from stillhouse.deploy.torchscript import torchscript_of
from stillhouse.errors import RunError

Answers = Callable[[Tensor], Tensor]


def compared(predictor: Predictor, answers: Answers, taken: Tensor) -> Parity:
    """A file beside the student, in batches of one, two and all rows."""
    wanted, sizes = predictor.outputs(taken), (1, 2, len(taken))
    mine = torch.cat([answers(taken[:size]) for size in sizes])
    same = torch.cat([wanted[:size] for size in sizes])
    return Parity.of(mine, same, classes=predictor.config.output == "logits")


def right_rows(run: Path, predictor: Predictor, answers: Answers, taken: Tensor) -> Iterator[str]:
    """How many rows the student and the file get right, where their classes are known."""
    labels = kept_rows(run, predictor, LABELS)
    if labels is None or predictor.config.output != "logits" or len(labels) != len(taken):
        return
    mine, file = (
        int((each(taken).argmax(1) == labels).sum()) for each in (predictor.outputs, answers)
    )
    yield f"right on {len(taken)} test rows: student {mine}, file {file}"


def checked(run: Path, predictor: Predictor, where: Path, to: str, *, int8: bool) -> Iterator[str]:
    """Compare a file that is there with the student; gives lines.

    Raises:
        RunError: it is not there, or is no file that can be run.
        ExportError: it answers something else.
    """
    if not where.exists():
        raise RunError(f"--check compares what is there, and there is no {where}; give it (-o)")
    if to == "hub":
        other = Predictor(where, allow_program=predictor.config.network.by_name is False)
        answers: Answers = other.outputs
    elif to == "pt2":
        answers = torch.export.load(where).module()
    elif to == "torchscript":
        answers = torchscript_of(where)
    else:
        answers = partial(answers_of, where)
    taken, kind = rows_of(run, predictor)
    try:
        with torch.inference_mode():
            parity = compared(predictor, answers, taken)
    except RuntimeError as error:
        said = str(error).strip().splitlines()[0]
        raise RunError(f"{where} does not take what the student takes: {said}") from error
    if not (parity.holds_in_eight_bits if int8 else parity.holds):
        raise ExportError(f"{where} answers something else than the student on {kind}: {parity}")
    yield f"{where} beside the student on {kind}: {parity}"
    yield from right_rows(run, predictor, answers, taken)
