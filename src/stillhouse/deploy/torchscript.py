"""A student as TorchScript, for programs that read nothing newer (libtorch, mobile)."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.deploy.program import ExportError
from stillhouse.errors import RunError
from stillhouse.faults import fault_of, first_line
from stillhouse.records.files import replacing


def write_torchscript(module: nn.Module, taken: Tensor, path: Path) -> None:
    """Trace a network and write it, for batches of any size.

    Args:
        module: in eval mode, on the CPU; pixels to answers.
        taken: what it takes, two rows or more.
        path: of the file.

    Raises:
        ExportError: torch cannot trace it, or what it traced answers differently each time.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises to use torch.export
            made: Any = torch.jit.trace(module, (taken,), check_trace=False)
            with replacing(path) as fresh:
                torch.jit.save(made, str(fresh))
    except Exception as error:  # of many kinds
        if fault_of(error) is not None:
            raise
        raise ExportError(
            f"cannot be written as TorchScript: {first_line(error)}; --to pt2 or onnx may do"
        ) from error


def torchscript_of(path: Path) -> Callable[[Tensor], Tensor]:
    """What a TorchScript file makes of rows.

    Raises:
        RunError: it is no such file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made: Any = torch.jit.load(str(path), map_location="cpu")
        except (RuntimeError, ValueError, OSError) as error:
            raise RunError(f"{path} is no TorchScript file: {first_line(error)}") from error

    def answers(taken: Tensor) -> Tensor:
        with torch.inference_mode():
            given: Tensor = made(taken)
        return given

    return answers
