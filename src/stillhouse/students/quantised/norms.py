"""Which batch norm reads the output of which layer, and nobody else does: those can be folded."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def norms_after(module: nn.Module, paths: Iterable[str], image: Tensor) -> Mapping[str, str]:
    """The path of the batch norm behind each of these layers that has one to itself.

    The network is run once in eval mode and listened to, so it need not be traceable. A norm
    counts when it runs once, on what the layer gave, over the layer's channels, and nothing else
    reads that.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 1))
    >>> norms_after(net, ["0", "3"], torch.zeros(1, 1, 4, 4))
    {'0': '1'}
    """
    heard = _Heard(module, set(paths))
    try:
        with torch.no_grad(), _Reading(heard):
            output = module(image)
    finally:
        heard.close()
    return heard.pairs(output)


class _Heard:
    """What layers gave and norms read, and how often each was read."""

    def __init__(self, module: nn.Module, paths: set[str]) -> None:
        self.channels: dict[str, int] = {}  # in which dimension a layer's are
        self.given: dict[str, Tensor] = {}  # kept, so that no other tensor gets its id
        self.read: dict[str, Tensor] = {}
        self.runs: Counter[str] = Counter()
        self.uses: Counter[int] = Counter()
        self._hooks = []
        for name, part in module.named_modules():
            if name in paths:
                self.channels[name] = -1 if isinstance(part, nn.Linear) else 1
                self._hooks.append(part.register_forward_hook(self._layer(name)))
            elif type(part) in NORMS and part.running_mean is not None:
                self._hooks.append(part.register_forward_hook(self._norm(name)))

    def _layer(self, name: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Tensor) -> None:
            self.runs[name] += 1
            self.given[name] = output

        return hook

    def _norm(self, name: str) -> Any:
        def hook(_module: nn.Module, args: tuple[Tensor, ...], _output: Tensor) -> None:
            self.runs[name] += 1
            self.read[name] = args[0]

        return hook

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def pairs(self, output: Any) -> Mapping[str, str]:
        returned = {id(leaf) for leaf in tree_leaves(output)}
        return {
            layer: norm
            for layer, value in self.given.items()
            for norm, read in self.read.items()
            if read is value
            and self.channels[layer] % value.ndim == 1  # where a batch norm looks for them
            and self.uses[id(value)] == 1
            and self.runs[layer] == self.runs[norm] == 1
            and id(value) not in returned
        }


class _Reading(TorchFunctionMode):
    """Counts functions that make a tensor out of what a layer gave."""

    def __init__(self, heard: _Heard) -> None:
        super().__init__()
        self._heard = heard

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(output)):
            watched = {id(value) for value in self._heard.given.values()}
            read = {id(leaf) for leaf in tree_leaves((args, kwargs or {}))}
            self._heard.uses.update(watched & read)
        return output
