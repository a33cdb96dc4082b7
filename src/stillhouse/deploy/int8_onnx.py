"""A student as int8 ONNX (pairs of QuantizeLinear, DequantizeLinear) for integer kernels.

Activations are uint8 by tensor, weights int8 by output channel. x86 without VNNI adds pairs of
products of unsigned and signed bytes in 16 bits, which saturates: unless the target has VNNI or is
an ARM, weights that are quantised after training have 7 bits, and those of a student that was
trained in eight keep their codes as bytes without sign. Ranges are the trained ones where there
are some, else those of training rows. What became integer arithmetic is counted in the file as
onnxruntime runs it.
"""

import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from stillhouse.deploy.int8_grids import (
    float_answers,
    grids_taken_out,
    overrides,
    unsigned_weights,
)
from stillhouse.deploy.onnx import package, session_of
from stillhouse.deploy.program import ExportError
from stillhouse.faults import fault_of, first_line
from stillhouse.records.files import replacing

Target = Literal["x86", "vnni", "arm"]
TARGETS: dict[str, Target] = {"x86": "x86", "vnni": "vnni", "arm": "arm"}
INTEGER = ("QLinearConv", "QGemm", "QLinearMatMul", "MatMulInteger", "ConvInteger",
           "MatMulIntegerToFloat", "DynamicQuantizeMatMul")  # fmt: skip
FLOAT = ("Conv", "FusedConv", "NhwcFusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")
"""Operators that multiply, on integers and on floats."""
AXES = [2, 3]


@dataclass(frozen=True)
class Kernels:
    """The operators that multiply in a file as onnxruntime runs it here.

    Args:
        integer, floating: how many of each kind, by name.
    """

    integer: dict[str, int]
    floating: dict[str, int]

    @property
    def share(self) -> float:
        """Of the multiplying operators those on integers."""
        mine, other = sum(self.integer.values()), sum(self.floating.values())
        return mine / max(1, mine + other)

    def __str__(self) -> str:
        told = ", ".join(f"{count} {name}" for name, count in self.integer.items()) or "none"
        left = ", ".join(f"{count} {name}" for name, count in self.floating.items()) or "none"
        return f"integer kernels: {told}; float: {left}"


def write_int8(float_file: Path, rows: Tensor, path: Path, *, target: Target = "x86") -> Kernels:
    """Quantise an ONNX file; gives what became integer arithmetic here.

    Args:
        float_file: as `stillhouse.deploy.onnx.write_onnx` writes it, with the grids of a student
            that was trained with rounding, if it was.
        rows: training rows as the file takes them, for the ranges of activations.
        path: of the new file.
        target: where it is to run.

    Raises:
        MissingExtra: onnx or onnxruntime are not installed.
        ExportError: onnxruntime cannot quantise it.
    """
    onnx, tools = package("onnx"), package("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as folder:
        model = onnx.load(str(float_file))
        grids = grids_taken_out(onnx, model)
        pooled_globally(onnx, model)
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, str(plain))
        try:
            with warnings.catch_warnings(), _quiet():
                warnings.simplefilter("ignore")
                ready = Path(folder) / "ready.onnx"
                package("onnxruntime.quantization.shape_inference").quant_pre_process(
                    str(plain), str(ready), skip_symbolic_shape=True
                )
                there = {name for node in onnx.load(str(ready)).graph.node for name in node.output}
                with replacing(path) as fresh:
                    tools.quantize_static(
                        str(ready),
                        str(fresh),
                        _Reader(tools, _first_input(onnx, ready), rows),
                        quant_format=tools.QuantFormat.QDQ,
                        per_channel=True,
                        reduce_range=target == "x86" and not grids,
                        activation_type=tools.QuantType.QUInt8,
                        weight_type=tools.QuantType.QInt8,
                        op_types_to_quantize=[
                            "Conv", "Gemm", "MatMul", "Add", "GlobalAveragePool", "MaxPool",
                            "AveragePool", "Concat", "Relu", "Clip",
                        ],
                        extra_options={
                            "TensorQuantOverrides": overrides(grids, there, tools.QuantType.QUInt8)
                        },
                    )  # fmt: skip
                    made = onnx.load(str(fresh))
                    float_answers(made)
                    if grids and target == "x86":
                        unsigned_weights(onnx, made)
                    onnx.save(made, str(fresh))
        except Exception as error:  # of many kinds
            if fault_of(error) is not None:
                raise
            said = first_line(error)
            raise ExportError(f"cannot be quantised by onnxruntime: {said}") from error
    return kernels_of(path)


def kernels_of(path: Path) -> Kernels:
    """Count the operators that multiply in a file as onnxruntime runs it on this machine."""
    onnx = package("onnx")
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        session_of(path, optimised=optimised)
        found = Counter(node.op_type for node in onnx.load(str(optimised)).graph.node)
    return Kernels(
        {name: found[name] for name in INTEGER if found[name]},
        {name: found[name] for name in FLOAT if found[name]},
    )


def pooled_globally(onnx: Any, model: Any) -> int:
    """Write means over height and width as global pooling, which has an integer kernel.

    Changes the model; gives how many it changed. A mean that drops the two axes is followed by a
    Flatten then.
    """
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    changed, nodes = 0, []
    for node in model.graph.node:
        if node.op_type != "ReduceMean" or not _over_places(node, constants):
            nodes.append(node)
            continue
        keeps = next((each.i for each in node.attribute if each.name == "keepdims"), 1)
        changed += 1
        if keeps:
            pool = onnx.helper.make_node(
                "GlobalAveragePool", [node.input[0]], [node.output[0]], name=node.name
            )
            nodes.append(pool)
            continue
        between = f"{node.output[0]}_pooled"
        nodes += [
            onnx.helper.make_node(
                "GlobalAveragePool", [node.input[0]], [between], name=f"{node.name}_pool"
            ),
            onnx.helper.make_node("Flatten", [between], [node.output[0]], axis=1,
                                  name=f"{node.name}_flat"),
        ]  # fmt: skip
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return changed


def _over_places(node: Any, constants: dict[str, np.ndarray]) -> bool:
    axes = constants.get(node.input[1]) if len(node.input) > 1 else None
    if axes is None:
        axes = next((each.ints for each in node.attribute if each.name == "axes"), None)
    if axes is None:
        return False
    return sorted(int(axis) % 4 for axis in np.asarray(axes).flatten()) == AXES


def _first_input(onnx: Any, path: Path) -> str:
    return str(onnx.load(str(path)).graph.input[0].name)


class _Reader:
    """Training rows for the calibration of onnxruntime, one batch after the other."""

    def __new__(cls, tools: Any, name: str, rows: Tensor) -> Any:
        batches: Iterator[dict[str, np.ndarray]] = iter(
            [{name: part.numpy()} for part in rows.split(32)]
        )

        class Reader(tools.CalibrationDataReader):  # type: ignore[misc]
            def get_next(self) -> dict[str, np.ndarray] | None:
                return next(batches, None)

        return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """Onnxruntime and its tools log what is no business of a user."""
    root, runtime = logging.getLogger(), package("onnxruntime")
    level = root.level
    root.setLevel(logging.ERROR)
    runtime.set_default_logger_severity(3)
    try:
        yield
    finally:
        root.setLevel(level)
        runtime.set_default_logger_severity(2)  # its own default: warnings
