"""The rounding that a student was trained with, out of its program: grids of inputs, weight codes.

The program of a rounding student simulates integers in float. Here each of its layers becomes a
plain one again, on weights that are whole steps, behind an operator that stands for the grid of its
input; ONNX has an operator for that.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from stillhouse.deploy.onnx import package
from stillhouse.deploy.program import ExportError
from stillhouse.students.quantised.layers import (
    input_codes,
    input_grid,
    weight_codes,
    weight_steps,
)

BITS = 8
SEEN, LOW, HIGH = (f".input_range.{name}" for name in ("seen", "low", "high"))
WHERE, SLICE = torch.ops.aten.where.self, torch.ops.aten.slice.Tensor
MULTIPLYING = ("conv2d", "linear")
UNPADDED = (0, [0, 0], (0, 0), "valid")


@dataclass(frozen=True)
class Grid:
    """The grid of what a layer reads: ``code = round(x / step) + zero``, in 0..255.

    >>> Grid(0.5, 5)
    Grid(step=0.5, zero=5)
    """

    step: float
    zero: int


@torch.library.custom_op("stillhouse::grid", mutates_args=())
def on_grid(x: Tensor, step: float, zero: int) -> Tensor:
    """Values rounded to a grid of eight bits."""
    step_, zero_ = torch.tensor(step), torch.tensor(float(zero))
    return input_codes(x, step_, zero_, BITS) * step_


@on_grid.register_fake
def _(x: Tensor, step: float, zero: int) -> Tensor:  # noqa: ARG001  (of its form)
    return torch.empty_like(x)


def in_onnx(x: Any, step: float, zero: int) -> Any:
    """The grid in ONNX: QuantizeLinear and DequantizeLinear. For torch's exporter."""
    op = package("onnxscript").opset20
    scale, point = op.Constant(value_float=step), op.Cast(op.Constant(value_int=zero), to=UINT8)
    return op.DequantizeLinear(op.QuantizeLinear(x, scale, point), scale, point)


UINT8 = 2
"""The number of the type in ONNX."""
TRANSLATED = {torch.ops.stillhouse.grid.default: in_onnx}


def is_rounding(module: nn.Module) -> bool:
    """Whether a program is that of a student that rounds.

    >>> is_rounding(nn.Linear(2, 2))
    False
    """
    return any(name.endswith(SEEN) for name, _ in module.named_buffers())


def with_grids(program: nn.Module) -> fx.GraphModule:
    """A copy of a rounding program whose layers are plain ones behind `on_grid`.

    A strided 1x1 convolution, which the program splits into leaving out and multiplying, is one
    layer again. A layer that never read a batch in training rounds nothing and stays float.

    Args:
        program: what torch.export made of a rounding student; not changed.

    Raises:
        ExportError: a layer is not of the form that `quantised` gives.
    """
    if not isinstance(program, fx.GraphModule):
        raise ExportError(f"{type(program).__name__} is no program of torch.export")
    made = deepcopy(program)
    state = {**dict(made.named_parameters()), **dict(made.named_buffers())}
    for path, node in list(_roundings(made)):
        weight, given = state[f"{path}.weight"].detach(), _node(node.args[2])
        if not state[path + SEEN] > 0:
            node.replace_all_uses_with(given)
            continue
        step, zero = input_grid(state[path + LOW], state[path + HIGH], BITS)
        steps = weight_steps(weight, BITS)
        with made.graph.inserting_after(node):
            grid = made.graph.call_function(
                torch.ops.stillhouse.grid.default, (given, float(step), int(zero))
            )
        node.replace_all_uses_with(grid)
        for user in list(grid.users):
            _plain(made, user, path, weight_codes(weight, steps) * steps)
    made.graph.eliminate_dead_code()
    made.recompile()
    return made


def _roundings(made: fx.GraphModule) -> Iterator[tuple[str, fx.Node]]:
    """The nodes that give a rounded input, with the path of their layer."""
    for node in made.graph.nodes:
        if node.op != "get_attr" or not str(node.target).endswith(SEEN):
            continue
        path = str(node.target).removesuffix(SEEN)
        for asked in node.users:
            for each in asked.users:
                if each.target == WHERE:
                    yield path, each


def _plain(made: fx.GraphModule, node: fx.Node, path: str, rounded: Tensor) -> None:
    """Make the layer that reads a grid a plain one."""
    kind = getattr(node.target, "_opname", "")
    if kind not in MULTIPLYING:
        raise ExportError(f"{path}: {node.target} reads rounded inputs, and a layer is expected")
    name = f"{path.replace('.', '_')}_rounded"
    if not hasattr(made, name):
        made.register_buffer(name, rounded)
    with made.graph.inserting_before(node):
        weight = made.graph.get_attr(name)
    node.update_arg(1, weight)
    grid: Any = node.args[0]
    read, strides = _unsliced(grid.args[0], rounded)
    settings = node.args[3:]
    plain = [settings[at] if len(settings) > at else None for at in range(2)]
    if strides and plain[0] in (None, [1, 1]) and (plain[1] is None or plain[1] in UNPADDED):
        grid.update_arg(0, read)
        node.args = (*node.args[:2], _bias(node), strides, *node.args[4:])


def _node(given: Any) -> fx.Node:
    if not isinstance(given, fx.Node):
        raise ExportError(f"a layer reads {given!r}, which is no tensor")
    return given


def _bias(node: fx.Node) -> Any:
    return node.args[2] if len(node.args) > 2 else None


def _unsliced(given: Any, weight: Tensor) -> tuple[Any, list[int]]:
    """What was read before pixels were left out, and every how manieth is read; [] if all are."""
    if weight.ndim != 4 or weight.shape[2:] != (1, 1):
        return given, []
    strides = [1, 1]
    while isinstance(given, fx.Node) and given.target == SLICE:
        told: list[Any] = [*given.args]
        told += (0, 0, MOST, 1)[len(told) - 1 :]
        inner, dim, start, end, step = told
        if dim == 0 or dim == 1:
            if start or end < MOST or step != 1:
                return given, []
        elif start or end < MOST:
            return given, []
        else:
            strides[dim - 2] *= step
        given = inner
    return given, strides if max(strides) > 1 else []


MOST = 2**63 - 1
"""The end of a slice that has none."""
