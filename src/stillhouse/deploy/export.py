"""Export: the student of a run as one file (or folder) for other programs, compared with it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.deploy.config import PROGRAM
from stillhouse.deploy.int8_onnx import Target, write_int8
from stillhouse.deploy.onnx import Parity, answers_of, write_onnx
from stillhouse.deploy.predictor import Predictor
from stillhouse.deploy.program import ExportError
from stillhouse.errors import RunError
from stillhouse.records.tensors import load_tensors

FORMATS = ("onnx", "pt2", "hub")
ROWS_FILE = "student-rows.safetensors"
"""Beside a run: test rows as the program takes them, what the trained student answers, and training
rows for the ranges of an int8 file."""
TAKEN, ANSWERS, CALIBRATION = "taken", "answers", "calibration"
DRAWN = 32


def export_student(
    run: Path,
    to: str,
    out: Path | None,
    *,
    int8: bool = False,
    target: Target = "x86",
    allow_program: bool = False,
) -> Iterator[str]:
    """Write it; gives lines that say what was written and how it compares.

    Args:
        run: a finished run, or a student's folder.
        to: one of `FORMATS`.
        out: the file or folder; beside the student when not given. It may not be there.
        int8: quantise an ONNX after training.
        target: where the int8 file is to run.
        allow_program: see `stillhouse.deploy.predictor.Predictor`.

    Raises:
        RunError: there is something at ``out``, or no student, or no training rows for int8.
        ExportError: it cannot be written in this format, or answers something else.
    """
    if int8 and to != "onnx":
        raise RunError(f"int8 is of --to onnx, and {to} is asked for; leave one out")
    predictor = Predictor(run, allow_program=allow_program)
    where = out or predictor.folder.parent / _name(to, int8=int8)
    if where.exists():
        raise RunError(f"{where} is there already; give another place (-o)")
    if to == "hub":
        shutil.copytree(predictor.folder, where)
        yield f"{where}: weights, config.json and card in the layout of the Hugging Face hub"
    elif to == "pt2":
        source = predictor.folder / PROGRAM
        if not source.is_file():
            raise RunError(f"{predictor.folder} has no {PROGRAM}: torch could not trace it")
        shutil.copyfile(source, where)
        yield f"{where}: a program of torch, its preprocessing inside"
    elif int8:
        yield from _int8(run, predictor, where, target)
    else:
        yield from _onnx(run, predictor, where)


def _name(to: str, *, int8: bool) -> str:
    names = {"onnx": "student.onnx", "pt2": "student.pt2", "hub": "student-hub"}
    return "student-int8.onnx" if int8 else names[to]


def _onnx(run: Path, predictor: Predictor, where: Path) -> Iterator[str]:
    """Float ONNX, whose answers have to be the student's."""
    taken, kind = rows_of(run, predictor)
    opset = write_onnx(predictor.answers, taken, where, output=predictor.config.output)
    parity = _compared(predictor, where, taken)
    if not parity.holds:
        where.unlink()
        raise ExportError(f"the ONNX file answers something else than the student: {parity}")
    given = "pixels" if predictor.preprocess.pixels else "prepared images"
    yield f"{where}: ONNX, opset {opset}, {given} in, {predictor.config.output} out, any batch"
    yield f"onnxruntime beside the student on {kind}: {parity}"


def _int8(run: Path, predictor: Predictor, where: Path, target: Target) -> Iterator[str]:
    """Int8 ONNX, whose answers differ by what rounding does, and by how much is said."""
    calibration = _kept(run, predictor, CALIBRATION)
    if calibration is None:
        raise RunError(
            f"{run}: int8 needs training rows for the ranges of its activations, and they are in "
            f"{ROWS_FILE} of the run; give the directory of the run"
        )
    taken, kind = rows_of(run, predictor)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "float.onnx"
        write_onnx(predictor.answers, taken, plain, output=predictor.config.output)
        kernels = write_int8(plain, calibration, where, target=target)
        before = plain.stat().st_size
    size = where.stat().st_size
    yield (
        f"{where}: int8 ONNX for {target}, {size:,} bytes (float: {before:,}), quantised after "
        f"training on {len(calibration)} training rows"
    )
    yield f"as onnxruntime runs it here: {kernels}"
    if not kernels.integer:
        yield "warning: nothing runs on integers here, so it is no faster than float"
    yield f"onnxruntime beside the float student on {kind}: {_compared(predictor, where, taken)}"


def _compared(predictor: Predictor, where: Path, taken: Tensor) -> Parity:
    """The file beside the student, in batches of one, two and all rows."""
    wanted, sizes = predictor.outputs(taken), (1, 2, len(taken))
    mine = torch.cat([answers_of(where, taken[:size]) for size in sizes])
    same = torch.cat([wanted[:size] for size in sizes])
    return Parity.of(mine, same, classes=predictor.config.output == "logits")


def rows_of(run: Path, predictor: Predictor) -> tuple[Tensor, str]:
    """Rows to compare on, and what they are: test rows of the run, or drawn ones."""
    kept = _kept(run, predictor, TAKEN)
    if kept is not None:
        return kept, "test rows"
    taken, drawn = predictor.preprocess, torch.Generator().manual_seed(0)
    shape = (DRAWN, taken.channels, taken.height, taken.width)
    if taken.pixels:
        found = torch.randint(0, 256, shape, generator=drawn, dtype=torch.uint8)
    else:
        found = torch.randn(shape, generator=drawn)
    return found, "drawn images (the run with its test rows is not beside the folder)"


def _kept(run: Path, predictor: Predictor, name: str) -> Tensor | None:
    for folder in (run, predictor.folder.parent):
        path = folder / ROWS_FILE
        if path.is_file():
            tensors, _ = load_tensors(path, RunError, "run the recipe again")
            return tensors.get(name)
    return None
