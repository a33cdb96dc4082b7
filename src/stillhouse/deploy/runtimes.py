"""A student in several runtimes, each as one function of pixels: torch, compiled, onnxruntime."""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.deploy.config import PROGRAM, WEIGHTS
from stillhouse.deploy.export import export_student
from stillhouse.deploy.int8_onnx import Target
from stillhouse.deploy.onnx import run_session, session_of
from stillhouse.deploy.predictor import Predictor
from stillhouse.errors import StillhouseError
from stillhouse.faults import fault_of, first_line

TORCH, COMPILED, ONNX, INT8 = "torch", "compiled", "onnx", "onnx-int8"
RUNTIMES: Mapping[str, str] = {
    TORCH: "torch",
    COMPILED: "torch compiled",
    ONNX: "onnxruntime",
    INT8: "onnxruntime int8",
}
"""By the names of the command line, what tables call them."""
BESIDE = {ONNX: "student.onnx", INT8: "student-int8.onnx"}
"""What `stillhouse export` writes beside a run, and is taken where it is there."""

Answers = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Opened:
    """A student that answers in a runtime.

    Args:
        answers: what it gives for pixels.
        file: that it was read from.
    """

    answers: Answers
    file: Path

    @property
    def bytes(self) -> int:
        """Of its file."""
        return self.file.stat().st_size


@dataclass(frozen=True)
class Opener:
    """Opens a student in runtimes; files that are not there are exported to a folder that goes.

    Args:
        run: a finished run, or a student's folder.
        predictor: its student.
        warm: pixels of the sizes that will be asked for, on which a runtime is tried.
        threads: that each of them uses.
        target: of an int8 file that is exported.
        allow_program: see `stillhouse.deploy.predictor.Predictor`.
    """

    run: Path
    predictor: Predictor
    warm: Sequence[Tensor]
    threads: int
    target: Target
    allow_program: bool

    @contextmanager
    def all(self, names: Sequence[str]) -> Iterator[Mapping[str, Opened | str]]:
        """Those runtimes, by name; in place of one that cannot be had, why not."""
        with ExitStack() as stack:
            before = torch.get_num_threads()
            torch.set_num_threads(self.threads)
            stack.callback(torch.set_num_threads, before)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            yield {name: self._opened(name, folder) for name in names}

    def _opened(self, name: str, folder: Path) -> Opened | str:
        try:
            opened = self._of_torch(name) if name in (TORCH, COMPILED) else self._of(name, folder)
            for pixels in self.warm:
                opened.answers(pixels)
            return opened
        except StillhouseError as error:
            return str(error)
        except Exception as error:
            # A compiler of C++ that is missing, and whatever else a foreign runtime may raise: the
            # others are measured all the same. What is the system's fault ends the command.
            if fault_of(error) is not None:
                raise
            return f"it does not run here ({type(error).__name__}: {first_line(error)})"

    def _of_torch(self, name: str) -> Opened:
        module, folder = self.predictor.answers, self.predictor.folder
        file = folder / (WEIGHTS if self.predictor.config.network.by_name else PROGRAM)
        if name == TORCH:
            return Opened(self.predictor.outputs, file)
        compiled = torch.compile(module, dynamic=False)

        def answers(pixels: Tensor) -> Tensor:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the compiler's own internals
                given: Tensor = compiled(pixels)
            return given

        return Opened(answers, file)

    def _of(self, name: str, folder: Path) -> Opened:
        file = self.predictor.folder.parent / BESIDE[name]
        if not file.is_file():
            file = folder / BESIDE[name]
            for _ in export_student(
                self.run,
                "onnx",
                file,
                int8=name == INT8,
                target=self.target,
                allow_program=self.allow_program,
            ):
                pass
        session = session_of(file, threads=self.threads)
        return Opened(partial(run_session, session), file)
