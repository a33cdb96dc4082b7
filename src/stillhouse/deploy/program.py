"""A module as a file that torch runs alone: traced by torch.export, checked, without our paths."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from stillhouse.errors import StillhouseError
from stillhouse.models.outputs import LogitsOnly
from stillhouse.records.files import write_bytes
from stillhouse.students import is_shared, unshared

ROWS = 2
"""Images that a module is traced on: of one, torch would take the 1 for a constant."""
MOST = 2**31 - 1
"""Images that a batch may have. Of no bound, torch 2.6 refuses slices: it guards against 2**63."""


class ExportError(StillhouseError):
    """A module cannot be traced, or the traced program answers something else."""


def export(module: nn.Module, image: Tensor) -> bytes:
    """The content of a ``.pt2`` file of a module, for batches of any size.

    Args:
        module: in eval mode, on the device of the images. Of one with several outputs the program
            gives the logits; of one of shared weights it has the weights themselves.
        image: two or more images, to trace it on and to check the program.

    Raises:
        ExportError: with the first line of what torch says.

    >>> module, image = nn.Linear(3, 2), torch.ones(4, 3)
    >>> program = torch.export.load(io.BytesIO(export(module, image))).module()
    >>> torch.equal(program(image), module(image))
    True
    """
    file, who = io.BytesIO(), type(module).__name__
    module = LogitsOnly(unshared(module) if is_shared(module) else module)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # torch warns of its own internals here, differently in each version; what matters
            # of them is found below, by running the program.
            warnings.simplefilter("ignore")
            program = torch.export.export(
                module,
                (image[:ROWS].clone(),),
                dynamic_shapes=({0: torch.export.Dim("batch", max=MOST)},),
                strict=False,
            )
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)  # it names the files of this machine
            torch.export.save(program, file)
            content = file.getvalue()
            made = torch.export.load(io.BytesIO(content)).module()
            same = all(_agree(made, module, image[:rows]) for rows in (1, len(image)))
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[0] if lines else type(error).__name__
        raise ExportError(f"cannot trace {who}: {said}") from error
    if not same:
        raise ExportError(f"gives another answer than the {who} it traced")
    return content


def _agree(made: nn.Module, module: nn.Module, image: Tensor) -> bool:
    return torch.allclose(made(image), module(image), rtol=1e-4, atol=1e-5)


def write_program(
    module: nn.Module, image: Tensor, path: Path, warn: Callable[[str], None]
) -> bool:
    """Write a module as such a file; without one, with a warning, where torch cannot trace it.

    Args:
        module, image: as in `export`.
        path: of the file; what was there before is gone either way.
        warn: hears why it is left out.
    """
    path.unlink(missing_ok=True)
    try:
        content = export(module, image)
    except ExportError as error:
        warn(f"{path.name} is left out: torch.export {error}")
        return False
    write_bytes(path, content)
    return True
