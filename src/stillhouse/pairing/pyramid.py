"""Pyramid: the levels that a detector's backbone hands to its head, an output of several maps."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.maps import MAP, fits
from stillhouse.models.given import set_eval
from stillhouse.models.outputs import nested_outputs

LEAST = 2
"""Maps of a pyramid."""


def pyramid(module: nn.Module, image: Tensor) -> dict[str, tuple[int, ...]]:
    """The taps of the levels of a network's pyramid and their shapes [C, H, W], the finest first.

    It is what the outermost module gives under several names, or as a list under one, as maps of
    different resolutions; of equal resolutions the last counts. Empty for a network without one.

    Args:
        module: only listened to, in eval mode.
        image: some of its images, [B, C, H, W].
    """
    found: dict[str, dict[str, Tensor]] = {}
    rows = len(image)

    def listener(path: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            if not isinstance(output, Mapping):
                return
            maps = {
                key: value
                for key, value in nested_outputs(output).items()
                if value.ndim == MAP and len(value) == rows and fits(value.shape, image.shape)
            }
            if len({value.shape[2:] for value in maps.values()}) >= LEAST:
                found[path] = maps

        return hook

    handles = [
        part.register_forward_hook(listener(path)) for path, part in module.named_modules() if path
    ]
    flags = Flags([module])
    try:
        set_eval(module)
        with torch.no_grad():
            module(image)
    finally:
        for handle in handles:
            handle.remove()
        flags.restore()
    if not found:
        return {}
    path = min(found, key=lambda known: (known.count("."), known))
    by_size = {tuple(value.shape[2:]): key for key, value in found[path].items()}
    finest_first = sorted(by_size, key=lambda size: -size[0] * size[1])
    return {
        f"{path}:{key}": tuple(found[path][key].shape[1:])
        for key in (by_size[size] for size in finest_first)
    }
