"""CUDA graphs without CUDA: a call is recorded operation by operation, and replayed in its place.

As on a card, nothing of Python runs in a replay: inputs are read and outputs written where they lay
when it was recorded, and whoever asks for a number meanwhile cannot be recorded.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function.name() == "aten::_local_scalar_dense":
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        result = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, result))
        return result


def capture(call: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
    """In place of `stillhouse.engine.graphs.capture`."""
    with _Recorder() as recorder:
        outputs = call()

    @torch.no_grad()
    def replay() -> None:
        for function, args, kwargs, result in recorder.calls:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    return outputs, replay


def overwrite(composite: nn.Module) -> None:
    """Compile nothing, and let each call destroy what the last one and its backward pass gave."""
    given: list[Tensor] = []
    for parameter in composite.parameters():
        parameter.register_post_accumulate_grad_hook(lambda p: given.append(p.grad))

    def call(*args: Any) -> Any:
        for tensor in given:
            tensor.data.fill_(torch.nan)
        given.clear()
        values, signals = composite._call_impl(*args)
        given.append(values)
        return values, signals

    composite._compiled_call_impl = call
