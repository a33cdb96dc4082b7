"""Trained rounding inside an ONNX file: taken out as settings for quantising, found again after it.

A float file of a rounding student holds a pair QuantizeLinear, DequantizeLinear before each of its
layers (`stillhouse.deploy.trained_grids`). onnxruntime's tool takes such grids as settings of
tensors, and adds those of the places that training left float: sums, concatenations, means.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from stillhouse.deploy.onnx import package, session_of
from stillhouse.deploy.trained_grids import Grid
from stillhouse.students.quantised.layers import input_codes, weight_codes, weight_steps

BITS = 8
QUANTISE, DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
SUFFIX = "_rounded"
"""End of the names of weights that are whole steps, as `with_grids` gives them."""
SHAPING = ("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "MaxPool")
"""Rounding commutes with what moves values, and with the largest of them."""
MIDDLE = 128


@dataclass(frozen=True)
class Codes:
    """How many codes of a file are those of the trained student.

    Args:
        weights, of_weights: codes of weights that are equal by size (a norm that is folded into a
            layer may change the sign), of how many.
        inputs, of_inputs: codes of what layers read on the same rows.
        furthest: steps between two of those.
        grids, layers: layers whose trained grid is in the file, of how many.
    """

    weights: int
    of_weights: int
    inputs: int
    of_inputs: int
    furthest: int
    grids: int
    layers: int

    def __str__(self) -> str:
        share = self.inputs / max(1, self.of_inputs)
        return (
            f"codes of weights: {self.weights:,} of {self.of_weights:,} as trained; trained grids "
            f"of inputs: {self.grids} of {self.layers} layers; codes of inputs: {share:.2%} equal, "
            f"at most {self.furthest} step{'' if self.furthest == 1 else 's'} apart"
        )


def grids_taken_out(onnx: Any, model: Any) -> dict[str, Grid]:
    """Take the pairs out of a float file; gives the grid of each tensor that layers read.

    Of one that several layers read, the widest grid is taken: it cuts nothing off. Through what
    only moves values, the grid holds for what is moved as well.
    """
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    found: dict[str, Grid] = {}
    codes: dict[str, str] = {}
    instead: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type == QUANTISE:
            grid = Grid(float(constants[node.input[1]]), int(constants[node.input[2]]))
            tensor = node.input[0]
            if tensor not in found or found[tensor].step < grid.step:
                found[tensor] = grid
            codes[node.output[0]] = tensor
        elif node.op_type == DEQUANTISE:
            instead[node.output[0]] = codes[node.input[0]]
    kept = [each for each in model.graph.node if each.op_type not in (QUANTISE, DEQUANTISE)]
    for node in kept:
        for at, name in enumerate(node.input):
            node.input[at] = instead.get(name, name)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return _moved_up(model, found)


def _moved_up(model: Any, found: dict[str, Grid]) -> dict[str, Grid]:
    made = {name: node for node in model.graph.node for name in node.output}
    readers = Counter(name for node in model.graph.node for name in node.input)
    whole = dict(found)
    for name, grid in found.items():
        while name in made and made[name].op_type in SHAPING:
            name = made[name].input[0]
            if readers[name] > 1 or name in whole:
                break
            whole[name] = grid
    return whole


def overrides(grids: dict[str, Grid], names: set[str], kind: Any) -> dict[str, Any]:
    """Grids as onnxruntime's tool takes them, of the tensors that are there."""
    return {
        name: [
            {
                "scale": np.array(grid.step, np.float32),
                "zero_point": np.array(grid.zero, np.uint8),
                "quant_type": kind,
            }
        ]
        for name, grid in grids.items()
        if name in names
    }


def unsigned_weights(onnx: Any, model: Any) -> None:
    """Write codes of weights as bytes without sign, 128 for zero: the same weights.

    Kernels for x86 without VNNI add pairs of products of unsigned and signed bytes in 16 bits,
    which saturates where codes fill 8 bits; those of two unsigned bytes do not.
    """
    constants = {each.name: each for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != DEQUANTISE or node.input[0] not in constants:
            continue
        for name in (node.input[0], node.input[2]):
            old = constants[name]
            if old.data_type == onnx.TensorProto.INT8:
                codes = onnx.numpy_helper.to_array(old).astype(np.int16) + MIDDLE
                old.CopyFrom(onnx.numpy_helper.from_array(codes.astype(np.uint8), name))


def float_answers(model: Any) -> None:
    """Let a linear layer that gives the answers give floats: nothing reads their codes."""
    made = {name: node for node in model.graph.node for name in node.output}
    for output in model.graph.output:
        back = made.get(output.name)
        codes = made.get(back.input[0]) if back and back.op_type == DEQUANTISE else None
        layer = made.get(codes.input[0]) if codes and codes.op_type == QUANTISE else None
        readers = [each for each in model.graph.node if layer and layer.output[0] in each.input]
        if layer is not None and layer.op_type == "Gemm" and len(readers) == 1:
            layer.output[0] = output.name
            model.graph.node.remove(codes)
            model.graph.node.remove(back)


@torch.no_grad()
def compared_codes(program: fx.GraphModule, path: Path, rows: Tensor) -> Codes:
    """Compare the codes of a file with those of the student on the same rows.

    Args:
        program: as `with_grids` gives it.
        path: of the int8 file.
        rows: as both take them.
    """
    onnx = package("onnx")
    model = onnx.load(str(path))
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    read = _Read(program)
    read.run(rows)
    same = weights = grids = 0
    asked: dict[str, str] = {}
    for node in model.graph.node:
        back = made.get(node.input[1]) if len(node.input) > 1 else None
        given = made.get(node.input[0]) if node.input else None
        if back is None or given is None or {back.op_type, given.op_type} != {DEQUANTISE}:
            continue
        name = back.input[0].partition(SUFFIX)[0]
        if name not in read.codes:
            continue
        stored = constants[back.input[0]].astype(int) - constants[back.input[2]].flat[0].astype(int)
        weight = program.get_buffer(name + SUFFIX)
        trained = weight_codes(weight, weight_steps(weight, BITS)).numpy()
        if stored.shape != trained.shape:
            stored = stored.T
        same += int((abs(stored) == abs(trained)).sum())
        weights += trained.size
        grid = read.grids[name]
        scale, zero = (constants[each] for each in given.input[1:3])
        if np.float32(grid.step) == scale and grid.zero == zero:
            grids += 1
            asked[name] = given.input[0]
    found = _inputs(onnx, model, list(dict.fromkeys(asked.values())), rows)
    steps = [abs(found[tensor].astype(int) - read.codes[name]) for name, tensor in asked.items()]
    return Codes(
        weights=same,
        of_weights=weights,
        inputs=sum(int((each == 0).sum()) for each in steps),
        of_inputs=sum(each.size for each in steps),
        furthest=max((int(each.max()) for each in steps), default=0),
        grids=grids,
        layers=len(read.grids),
    )


def _inputs(onnx: Any, model: Any, names: list[str], rows: Tensor) -> dict[str, np.ndarray]:
    """Codes that onnxruntime computes."""
    import tempfile

    for name in names:
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None)
        )
    with tempfile.TemporaryDirectory() as folder:
        listening = Path(folder) / "listening.onnx"
        onnx.save(model, str(listening))
        session = session_of(listening)
        given = session.get_inputs()[0].name
        return dict(zip(names, session.run(names, {given: rows.numpy()}), strict=True))


class _Read(fx.Interpreter):
    """Runs a program, and keeps the grid and the codes of what each layer reads, by its weight."""

    def __init__(self, program: fx.GraphModule) -> None:
        super().__init__(program)
        self.codes: dict[str, np.ndarray] = {}
        self.grids: dict[str, Grid] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.target == torch.ops.stillhouse.grid.default:
            (x, step, zero), _ = self.fetch_args_kwargs_from_env(n)
            point = torch.tensor(float(zero))
            codes = input_codes(x, torch.tensor(step), point, BITS) + point
            for user in n.users:
                weight: Any = user.args[1]
                name = str(weight.target).removesuffix(SUFFIX)
                self.codes[name], self.grids[name] = codes.numpy().astype(int), Grid(step, zero)
        return super().run_node(n)
