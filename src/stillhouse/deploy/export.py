"""Export: the student of a run as one file (or folder) for other programs, compared with it."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from stillhouse.deploy.config import CONFIG, PROGRAM
from stillhouse.deploy.int8_grids import compared_codes
from stillhouse.deploy.int8_onnx import Target, write_int8
from stillhouse.deploy.kept_rows import CALIBRATION, ROWS_FILE, kept_rows, rows_of
from stillhouse.deploy.onnx import Parity, answers_of, write_onnx
from stillhouse.deploy.parity import checked, compared, right_rows
from stillhouse.deploy.predictor import Predictor
from stillhouse.deploy.program import ExportError
from stillhouse.deploy.sentences import ReadySentences, Sentences, TokensAndMask
from stillhouse.deploy.torchscript import torchscript_of, write_torchscript
from stillhouse.deploy.trained_grids import TRANSLATED, is_rounding, with_grids
from stillhouse.errors import RunError
from stillhouse.records.exports import EXPORTS, Exported, ExportList
from stillhouse.records.files import replacing
from stillhouse.records.run import SCORES

FORMATS = ("onnx", "pt2", "torchscript", "hub")


def export_student(
    run: Path,
    to: str,
    out: Path | None,
    *,
    int8: bool = False,
    target: Target = "x86",
    check: bool = False,
    allow_program: bool = False,
) -> Iterator[str]:
    """Write it; gives lines that say what was written and how it compares.

    Args:
        run: a finished run, or a student's folder.
        to: one of `FORMATS`.
        out: the file or folder; beside the student when not given. It may not be there.
        int8: an ONNX of integers, in the rounding of the training if there was some, else
            quantised after it.
        target: where the int8 file is to run.
        check: write nothing, and compare what is there already.
        allow_program: see `stillhouse.deploy.predictor.Predictor`.

    Raises:
        RunError: there is something at ``out`` (or nothing, of ``check``), or no student, or no
            training rows for int8.
        ExportError: it cannot be written in this format, or answers something else.
    """
    if int8 and to != "onnx":
        raise RunError(f"int8 is of --to onnx, and {to} is asked for; leave one out")
    predictor = Predictor(run, allow_program=allow_program)
    if int8 and isinstance(predictor.preprocess, Sentences):
        said = "int8 is of students of images, whose ranges are found on pixels, and this one reads"
        raise RunError(f"{said} texts; export it in float (without --int8)")
    where = out or predictor.folder.parent / _name(to, int8=int8)
    if check:
        yield from checked(run, predictor, where, to, int8=int8)
        return
    if where.exists():
        raise RunError(f"{where} is there already; give another place (-o)")
    if to == "hub":
        _copied(predictor, where)
        yield f"{where}: weights, config.json and card in the layout of the Hugging Face hub"
        return
    with replacing(where) as fresh:  # it is there once it was compared, or not at all
        if to == "pt2":
            source = predictor.folder / PROGRAM
            if not source.is_file():
                raise RunError(f"{predictor.folder} has no {PROGRAM}: torch could not trace it")
            shutil.copyfile(source, fresh)
            lines = ["a program of torch, its preprocessing inside"]
        elif to == "torchscript":
            lines = list(_torchscript(run, predictor, fresh))
        elif int8:
            lines = list(_int8(run, predictor, fresh, target))
        else:
            lines = list(_onnx(run, predictor, fresh))
    _remembered(run, where, lines)
    yield f"{where}: {lines[0]}"
    yield from lines[1:]


def _remembered(run: Path, where: Path, lines: Sequence[str]) -> None:
    """What the report of the run shows of the file; of a folder alone nothing is kept."""
    if (run / SCORES).is_file():
        one = Exported(file=where.name, bytes=where.stat().st_size, said=tuple(lines))
        ExportList.of(run).with_one(one).write(run / EXPORTS)


def _copied(predictor: Predictor, where: Path) -> None:
    """The files that config.json lists and no others, as a folder that is whole or not there."""
    where.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where.parent, prefix=".student-") as beside:
        fresh = Path(beside) / where.name
        fresh.mkdir()
        for name in (*sorted(predictor.config.sha256), CONFIG):
            shutil.copyfile(predictor.folder / name, fresh / name)
        fresh.rename(where)


def _name(to: str, *, int8: bool) -> str:
    names = {
        "onnx": "student.onnx",
        "pt2": "student.pt2",
        "torchscript": "student.torchscript",
        "hub": "student-hub",
    }
    return "student-int8.onnx" if int8 else names[to]


def _torchscript(run: Path, predictor: Predictor, where: Path) -> Iterator[str]:
    """TorchScript, whose answers have to be the student's."""
    taken, kind = rows_of(run, predictor)
    write_torchscript(predictor.answers, taken, where)
    parity = compared(predictor, torchscript_of(where), taken)
    if not parity.holds:
        raise ExportError(f"the TorchScript file answers something else than the student: {parity}")
    yield "TorchScript, its preprocessing inside, any batch"
    yield f"TorchScript beside the student on {kind}: {parity}"


def _onnx(run: Path, predictor: Predictor, where: Path) -> Iterator[str]:
    """Float ONNX, whose answers have to be the student's."""
    taken, kind = rows_of(run, predictor)
    if isinstance(predictor.answers, ReadySentences):
        yield from _onnx_of_sentences(predictor, predictor.answers, taken, kind, where)
        return
    opset = write_onnx(predictor.answers, taken, where, output=predictor.config.output)
    parity = compared(predictor, partial(answers_of, where), taken)
    if not parity.holds:
        raise ExportError(f"the ONNX file answers something else than the student: {parity}")
    given = "pixels" if predictor.preprocess.pixels else predictor.preprocess.noun
    yield f"ONNX, opset {opset}, {given} in, {predictor.config.output} out, any batch"
    yield f"onnxruntime beside the student on {kind}: {parity}"


def _onnx_of_sentences(
    predictor: Predictor, ready: ReadySentences, taken: Tensor, kind: str, where: Path
) -> Iterator[str]:
    """Tokens and mask in, of any batch and, where torch can trace that, of any length."""
    named = dict(zip(("input_ids", "attention_mask"), taken.unbind(1), strict=True))
    output, most = predictor.config.output, taken.shape[2]
    said = f"any batch, 2 to {most} tokens"
    try:
        opset = write_onnx(TokensAndMask(ready), named, where, output=output, longest=most)
    except ExportError as error:
        said = f"any batch, {most} tokens (of other lengths it cannot be traced: {error})"
        opset, most = write_onnx(TokensAndMask(ready), named, where, output=output), 0
    parity = compared(predictor, partial(answers_of, where), taken)
    if not parity.holds:
        raise ExportError(f"the ONNX file answers something else than the student: {parity}")
    yield f"ONNX, opset {opset}, {' and '.join(named)} in, {output} out, {said}"
    yield f"onnxruntime beside the student on {kind}: {parity}"
    longest = max(2, int(taken[:, 1].sum(1).max()))
    if most and longest < most:
        short = taken[:, :, :longest].contiguous()
        classes = output == "logits"
        parity = Parity.of(answers_of(where, short), predictor.outputs(taken), classes=classes)
        if not parity.holds:
            raise ExportError(f"without filling the ONNX file answers something else: {parity}")
        yield f"the same rows cut to {longest} tokens: {parity}"


def _int8(run: Path, predictor: Predictor, where: Path, target: Target) -> Iterator[str]:
    """Int8 ONNX, whose answers differ by what rounding does, and by how much is said."""
    calibration = kept_rows(run, predictor, CALIBRATION)
    if calibration is None:
        raise RunError(
            f"{run}: int8 needs training rows for the ranges of its activations, and they are in "
            f"{ROWS_FILE} of the run; give the directory of the run"
        )
    taken, kind = rows_of(run, predictor)
    trained = with_grids(predictor.answers) if is_rounding(predictor.answers) else None
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "float.onnx"
        write_onnx(
            predictor.answers if trained is None else trained,
            taken,
            plain,
            output=predictor.config.output,
            translated=None if trained is None else TRANSLATED,
        )
        kernels = write_int8(plain, calibration, where, target=target)
        before = plain.stat().st_size
    parity, size = compared(predictor, partial(answers_of, where), taken), where.stat().st_size
    if not parity.holds_in_eight_bits:
        raise ExportError(
            f"the int8 file answers something else than the student on {kind}: {parity}; train the "
            "student in eight bits (student: {quantise: int8}), or export it in float"
        )
    rows = f"{len(calibration)} training rows"
    how = f"quantised after training on {rows}"
    if trained is not None:
        how = f"in the rounding it was trained with, sums and means in ranges of {rows}"
    yield f"int8 ONNX for {target}, {size:,} bytes (float: {before:,}), {how}"
    yield f"as onnxruntime runs it here: {kernels}"
    if not kernels.integer:
        yield "warning: nothing runs on integers here, so it is no faster than float"
    elif kernels.floating:
        yield f"warning: {sum(kernels.floating.values())} layers stay float here"
    if trained is not None:
        yield str(compared_codes(trained, where, taken))
    yield f"onnxruntime beside the {'float ' * (trained is None)}student on {kind}: {parity}"
    yield from right_rows(run, predictor, partial(answers_of, where), taken)
