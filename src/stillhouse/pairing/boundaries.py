"""Boundaries: where a layer's values still have their sign, before the ReLU that ends it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags

IMAGES = 8
"""So many tell whether one map is the ReLU of another."""


def before_relu(module: nn.Module, image: Tensor, taps: Sequence[str]) -> tuple[str, ...]:
    """For each tap the input of the ReLU whose output it gives; the tap itself where there is none.

    There is none where the map is no output of a ReLU, and where the ReLU is a function, works in
    place or is a module that runs several times.

    Args:
        module: any model of images; only listened to, in eval mode.
        image: some of its images.
        taps: outputs of its modules.

    >>> net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Conv2d(4, 4, 3))
    >>> before_relu(net, torch.randn(2, 3, 8, 8), ["0", "1"])
    ('0.1:in', '1')
    """
    outputs: dict[str, Tensor] = {}
    inputs: dict[str, tuple[Tensor, int]] = {}
    runs: Counter[str] = Counter()

    def listen(name: str) -> Any:
        def hook(part: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            runs[name] += 1
            if name in taps:
                outputs[name] = output
            if given and isinstance(given[0], Tensor) and not any(part.children()):
                inputs[name] = given[0], given[0]._version

        return hook

    parts = [(name, part) for name, part in module.named_modules() if name]
    handles = [part.register_forward_hook(listen(name)) for name, part in parts]
    flags = Flags([module])
    try:
        module.eval()
        with torch.no_grad():
            module(image[:IMAGES])
    finally:
        for handle in handles:
            handle.remove()
        flags.restore()
    kept = {n: x for n, (x, seen) in inputs.items() if runs[n] == 1 and x._version == seen}
    return tuple(_behind(kept, outputs.get(tap)) or tap for tap in taps)


def _behind(inputs: dict[str, Tensor], output: Tensor | None) -> str | None:
    """The tap of the input that has negative values and of which this is the ReLU."""
    if not isinstance(output, Tensor):
        return None
    for name, x in reversed(inputs.items()):
        if x.shape == output.shape and bool((x < 0).any()) and torch.equal(x.relu(), output):
            return f"{name}:in"
    return None
