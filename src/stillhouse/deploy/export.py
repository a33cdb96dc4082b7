"""Export: the student of a run as one file (or folder) for other programs, compared with it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.deploy.config import PROGRAM
from stillhouse.deploy.onnx import Parity, answers_of, write_onnx
from stillhouse.deploy.predictor import Predictor
from stillhouse.deploy.program import ExportError
from stillhouse.errors import RunError
from stillhouse.records.tensors import load_tensors

FORMATS = ("onnx", "pt2", "hub")
ROWS_FILE = "student-rows.safetensors"
"""Beside a run: test rows as the program takes them, and what the trained student answers."""
TAKEN, ANSWERS = "taken", "answers"
DRAWN = 32


def export_student(
    run: Path, to: str, out: Path | None, *, allow_program: bool = False
) -> Iterator[str]:
    """Write it; gives lines that say what was written and how it compares.

    Args:
        run: a finished run, or a student's folder.
        to: one of `FORMATS`.
        out: the file or folder; beside the student when not given. It may not be there.
        allow_program: see `stillhouse.deploy.predictor.Predictor`.

    Raises:
        RunError: there is something at ``out``, or no student.
        ExportError: it cannot be written in this format, or answers something else.
    """
    predictor = Predictor(run, allow_program=allow_program)
    target = out or predictor.folder.parent / {"onnx": "student.onnx", "pt2": "student.pt2",
                                                "hub": "student-hub"}[to]  # fmt: skip
    if target.exists():
        raise RunError(f"{target} is there already; give another place (-o)")
    if to == "hub":
        shutil.copytree(predictor.folder, target)
        yield f"{target}: weights, config.json and card in the layout of the Hugging Face hub"
        return
    if to == "pt2":
        source = predictor.folder / PROGRAM
        if not source.is_file():
            raise RunError(
                f"{predictor.folder} has no {PROGRAM}: torch could not trace the student"
            )
        shutil.copyfile(source, target)
        yield f"{target}: a program of torch, its preprocessing inside"
        return
    taken, real = rows_of(run, predictor)
    wanted = predictor.outputs(taken)
    opset = write_onnx(
        predictor.answers, taken, target, output=predictor.config.output
    )  # fmt: skip
    sizes = (1, 2, len(taken))
    mine = torch.cat([answers_of(target, taken[:size]) for size in sizes])
    same = torch.cat([wanted[:size] for size in sizes])
    parity = Parity.of(mine, same, classes=predictor.config.output == "logits")
    if not parity.holds:
        target.unlink()
        raise ExportError(f"the ONNX file answers something else than the student: {parity}")
    kind = "test rows" if real else "drawn images (the run with its test rows is not beside it)"
    yield f"{target}: ONNX, opset {opset}, pixels in, {predictor.config.output} out, any batch"
    yield f"onnxruntime beside the student on {kind}: {parity}"


def rows_of(run: Path, predictor: Predictor) -> tuple[Tensor, bool]:
    """Rows to compare on, and whether they are test rows of the run; else they are drawn."""
    for folder in (run, predictor.folder.parent):
        path = folder / ROWS_FILE
        if path.is_file():
            tensors, _ = load_tensors(path, RunError, "run the recipe again")
            return tensors[TAKEN], True
    taken = predictor.preprocess
    drawn = torch.Generator().manual_seed(0)
    shape = (DRAWN, taken.channels, taken.height, taken.width)
    if taken.pixels:
        return torch.randint(0, 256, shape, generator=drawn, dtype=torch.uint8), False
    return torch.randn(shape, generator=drawn), False
