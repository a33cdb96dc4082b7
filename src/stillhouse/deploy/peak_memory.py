"""The most memory that a student takes: in a process of its own, which answers and says.

A file of ONNX is answered by numpy and onnxruntime alone, without torch, as a product would.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER, COMPILED, FILE = "folder", "compiled", "onnx"
ANSWERS = 3
SECONDS = 600
"""Longer than any compiler takes; then a process is ended, and its memory not known."""
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class PeakMemory:
    """Of a process that loads a student and answers.

    Args:
        peak: bytes that it held at most.
        imported: bytes that it had held at most when it had imported its packages, and nothing
            more.
    """

    peak: int
    imported: int


def peak_memory(
    kind: str, path: Path, rows: Path, *, threads: int, allow_program: bool = False
) -> PeakMemory | None:
    """Measure it; None where a system does not tell it, or the process failed.

    Args:
        kind: `FOLDER` of a student, in torch; `COMPILED`, the same compiled; `FILE` of ONNX.
        path: of it.
        rows: a .npy of pixels to answer for.
        threads: that it uses.
        allow_program: see `stillhouse.deploy.predictor.Predictor`.
    """
    asked = [kind, str(path), str(rows), str(threads), str(int(allow_program))]
    try:
        done = subprocess.run(  # noqa: S603  (this module, by the same Python)
            [sys.executable, "-m", "stillhouse.deploy.peak_memory", *asked],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    if not found["peak"]:
        return None
    return PeakMemory(found["peak"], found["imported"])


def held_at_most() -> int:
    """Bytes of memory that this process has held at most; 0 where the system does not tell.

    Linux tells it of the program that runs; ``getrusage`` there tells that of the parent too.
    """
    if STATUS.is_file():
        lines = STATUS.read_text().splitlines()
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def _answer_file(path: str, rows: str, threads: int) -> int:
    import numpy
    import onnxruntime  # type: ignore[import-untyped, import-not-found, unused-ignore]

    imported = held_at_most()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    pixels = numpy.load(rows)
    names = [each.name for each in session.get_inputs()]
    several = [pixels] if len(names) == 1 else [pixels[:, at] for at in range(len(names))]
    for _ in range(ANSWERS):
        session.run(None, dict(zip(names, several, strict=True)))
    return imported


def _answer_folder(path: str, rows: str, threads: int, *, compiled: bool, allow: bool) -> int:
    import numpy
    import torch

    from stillhouse.deploy.predictor import Predictor

    torch.set_num_threads(threads)
    imported = held_at_most()
    answers = Predictor(path, allow_program=allow).answers
    if compiled:
        answers = torch.compile(answers, dynamic=False)  # type: ignore[assignment]
    pixels = torch.from_numpy(numpy.load(rows))
    with torch.inference_mode():
        for _ in range(ANSWERS):
            answers(pixels)
    return imported


def _main(kind: str, path: str, rows: str, threads: str, allow: str) -> None:
    if kind == FILE:
        imported = _answer_file(path, rows, int(threads))
    else:
        compiled, may = kind == COMPILED, allow == "1"
        imported = _answer_folder(path, rows, int(threads), compiled=compiled, allow=may)
    print(json.dumps({"peak": held_at_most(), "imported": imported}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
