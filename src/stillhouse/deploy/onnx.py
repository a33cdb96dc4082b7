"""A student as ONNX, its preprocessing inside, compared with the student on real rows."""

import contextlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.deploy.program import MOST, ExportError
from stillhouse.errors import MissingExtra
from stillhouse.faults import fault_of, first_line
from stillhouse.records.files import replacing

OPSET = 20
"""The default of torch's exporter."""
PIXELS = "pixels"
INPUTS = {torch.uint8: PIXELS, torch.int64: "tokens"}
"""Names of what a program takes, by its type."""
LARGEST = 1e-3
"""How far logits may differ, as a share of their largest: float32 summed in another order."""
AGREE, MEAN = 0.8, 0.1
"""Of a file of integers: rows of the same first place at least, and the mean difference at most, as
a share of the largest output. Wide: what they refuse is not the student any more."""


@dataclass(frozen=True)
class Parity:
    """How an exported file answers beside the student, on the same rows.

    Args:
        rows: how many.
        largest: difference of two outputs.
        scale: the largest output of the student.
        agree: rows with the same first place (of embeddings: all).
        mean: of the differences of all outputs.
    """

    rows: int
    largest: float
    scale: float
    agree: int
    mean: float

    @classmethod
    def of(cls, mine: Tensor, wanted: Tensor, *, classes: bool = True) -> "Parity":
        """Compare the outputs of a file with those of the student.

        >>> Parity.of(torch.tensor([[1.0, 0.5]]), torch.tensor([[1.0, 0.0]]))
        Parity(rows=1, largest=0.5, scale=1.0, agree=1, mean=0.25)
        """
        same = (mine.argmax(1) == wanted.argmax(1)).sum() if classes else len(mine)
        gaps = (mine - wanted).abs()
        scale = float(wanted.abs().max())
        return cls(len(mine), float(gaps.max()), scale, int(same), float(gaps.mean()))

    @property
    def holds(self) -> bool:
        """Whether differences are those of rounding alone."""
        return self.largest <= LARGEST * max(self.scale, 1.0)

    @property
    def holds_in_eight_bits(self) -> bool:
        """Whether differences are what rounding to integers may do."""
        return self.agree >= AGREE * self.rows and self.mean <= MEAN * self.scale

    def __str__(self) -> str:
        return (
            f"{self.agree} of {self.rows} rows with the same answer, outputs up to "
            f"{self.largest:.2g} apart (the largest is {self.scale:.3g})"
        )


def write_onnx(
    module: nn.Module,
    taken: Tensor | Mapping[str, Tensor],
    path: Path,
    *,
    output: str,
    translated: Mapping[Any, Callable[..., Any]] | None = None,
    longest: int | None = None,
) -> int:
    """Write a network as one ONNX file for batches of any size; gives the opset it has.

    Args:
        module: in eval mode, on the CPU.
        taken: what it takes of two rows or more: one row would be taken for a constant; several
            inputs by name, in their order.
        longest: so many positions a row may have, of whose number the file is free; None: it is
            that of these rows.
        path: of the file.
        output: name of what it gives: logits, embedding.
        translated: operators of our own, and what they are in ONNX.

    Raises:
        MissingExtra: onnx or onnxscript are not installed.
        ExportError: ONNX lacks an operator, or torch cannot trace the network; with its words.
    """
    onnx = package("onnx")
    package("onnxscript")
    axes = {0: torch.export.Dim("batch", max=MOST)}
    if longest is not None:
        axes[1] = torch.export.Dim("length", min=2, max=longest)
    named = taken if isinstance(taken, Mapping) else {INPUTS.get(taken.dtype, "image"): taken}
    given = tuple(named.values())
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of its own internals here
            made = torch.onnx.export(
                module,
                given,
                dynamo=True,
                dynamic_shapes=(axes,) * len(given),
                input_names=list(named),
                output_names=[output],
                opset_version=OPSET,
                custom_translation_table=dict(translated or {}),
                verbose=False,
            )
        if made is None:
            raise ExportError("torch gave no program")
        with replacing(path) as fresh:
            made.save(str(fresh), external_data=False)
        return _opset(onnx, path)
    except Exception as error:  # of many kinds, as torch's exporter has many passes
        if fault_of(error) is not None:
            raise
        raise ExportError(
            f"cannot be written as ONNX: {_why(error, _layers(module, given))}"
        ) from error


def answers_of(path: Path, taken: Tensor, *, threads: int = 0) -> Tensor:
    """What onnxruntime makes of rows; of a file of several inputs these are the second dimension.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    return run_session(session_of(path, threads=threads), taken)


def run_session(session: Any, taken: Tensor) -> Tensor:
    """What a session of onnxruntime makes of rows; several inputs are their second dimension."""
    names = [each.name for each in session.get_inputs()]
    parts = [taken] if len(names) == 1 else list(taken.unbind(1))
    given = {name: x.contiguous().numpy() for name, x in zip(names, parts, strict=True)}
    (found,) = session.run(None, given)
    return torch.from_numpy(found)


def session_of(path: Path, *, threads: int = 0, optimised: Path | None = None) -> Any:
    """A file opened by onnxruntime on the CPU.

    Args:
        path: of the file.
        threads: that it uses; 0: as many as it likes.
        optimised: where the file as onnxruntime runs it is written, to look at its operators.
    """
    runtime = package("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def package(name: str) -> ModuleType:
    """A package of the extra `onnx`.

    Raises:
        MissingExtra: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as absent:
        if absent.name != name.partition(".")[0]:
            raise
        raise MissingExtra("ONNX", name.partition(".")[0], "onnx") from absent


def _opset(onnx: Any, path: Path) -> int:
    """That of the standard operators; the exporter may have kept another one than was asked for."""
    imports = onnx.load(str(path), load_external_data=False).opset_import
    return next(int(each.version) for each in imports if each.domain in ("", "ai.onnx"))


def _layers(module: nn.Module, given: tuple[Tensor, ...]) -> dict[str, str]:
    """The layer of each operator by its name; none where the network cannot be traced."""
    with contextlib.suppress(Exception), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.export.export(module, given, strict=False).run_decompositions({})
        stacks = {node.name: node.meta.get("nn_module_stack") for node in traced.graph.nodes}
        return {
            name: "layer '{}', {}".format(*list(stack.values())[-1])
            for name, stack in stacks.items()
            if stack
        }
    return {}


def _why(error: BaseException, layers: Mapping[str, str]) -> str:
    """What torch says of the operator, where it names one, and its layer; else its first line."""
    inner: BaseException | None = error
    said, node = first_line(error), None
    while inner is not None:
        text = first_line(inner)
        node = node or re.search(r"Error when translating node %?(\w+)", text)
        if "No decompositions registered" in text or "No ONNX function found" in text:
            said = text
        inner = inner.__cause__
    name = node[1] if node else ""
    # An operator that was taken apart keeps the end of its name.
    alike = [each for each in layers if name and (each == name or each.endswith(f"_{name}"))]
    layer = layers[min(alike, key=len)] if alike else None
    return f"{said} (in {layer})" if layer else said
