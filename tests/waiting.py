"""What a step would wait for on an accelerator, found without one.

Tensors on ``meta`` have no values: whoever asks for one (``.item()``, ``.cpu()``, ``bool``, a mask
as an index) raises. The other way, from the processor's memory to the device, waits too unless it
says ``non_blocking``; that is what `Waits` lists.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
CREATORS = (torch.tensor, torch.as_tensor, torch.asarray)


class _Creations(TorchFunctionMode):
    """Tensors that are made of numbers on the device: copied there, and waited for."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if function in CREATORS and isinstance(result, Tensor) and result.device == META:
            self.found.append(f"{function.__name__} of numbers on the device")
        return result


class _Copies(TorchDispatchMode):
    """Blocking copies between the processor's memory and the device; reads of a single number."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = function.name()
        if name.startswith("aten::_to_copy"):
            if _host(args[0]) and _on_meta(kwargs.get("device")) and not kwargs.get("non_blocking"):
                self.found.append("a blocking copy to the device")
        elif name == "aten::copy_":
            if _host(args[1]) and _on_meta(args[0]) and not (args[2:] or [False])[0]:
                self.found.append("a blocking copy to the device")
        elif name.startswith(("aten::index.", "aten::index_put")):
            if _on_meta(args[0]) and any(_host(at) for at in args[1] if at is not None):
                self.found.append("rows of the device named by an index on the processor")
        elif name == "aten::_local_scalar_dense" and _on_meta(args[0]):
            self.found.append("a number is read from the device")
        return function(*args, **kwargs)


def _host(value: object) -> bool:
    """Whether it is a tensor in the processor's memory; one number goes along with the kernel."""
    return isinstance(value, Tensor) and value.device.type == "cpu" and value.ndim > 0


def _on_meta(value: object) -> bool:
    device = value.device if isinstance(value, Tensor) else value
    return device is not None and torch.device(device).type == "meta"  # type: ignore[arg-type]


class Waits:
    """A block in which nothing may wait for the device; ``found`` says what did."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._stack = ExitStack()

    def __enter__(self) -> "Waits":
        self._stack.enter_context(_Copies(self.found))
        self._stack.enter_context(_Creations(self.found))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
