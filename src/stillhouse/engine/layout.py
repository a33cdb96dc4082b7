"""Where modules live and how they are laid out in memory: a stage puts back what it changed."""

from collections.abc import Iterable
from itertools import chain

import torch
from torch import nn

RISKY_CHANNELS = 16


def breaks_channels_last(module: nn.Module, device: torch.device) -> bool:
    """Whether a model must be kept out of the channels_last layout, its images included.

    On the CPU, oneDNN (issue 6035) corrupts memory in the weight gradient of a strided 1x1
    convolution with few input channels in this layout. The layout of a convolution's input is
    enough to choose it, whatever the layout of its weights.

    >>> narrow = nn.Conv2d(8, 16, 1, stride=2)
    >>> breaks_channels_last(narrow, torch.device("cpu"))
    True
    >>> breaks_channels_last(nn.Conv2d(8, 16, 3, stride=2), torch.device("cpu"))
    False
    """
    return device.type == "cpu" and any(
        type(part).forward is nn.Conv2d.forward
        and part.kernel_size == (1, 1)
        and max(part.stride) > 1
        and part.in_channels < RISKY_CHANNELS
        for part in module.modules()
        if isinstance(part, nn.Conv2d)
    )


class Homes:
    """Devices and layouts of some modules, as they were.

    >>> layer = nn.Conv2d(4, 4, 3)
    >>> homes = Homes([layer])
    >>> homes.place(torch.device("cpu"), channels_last=True)
    >>> layer.weight.is_contiguous()
    False
    >>> homes.restore()
    >>> layer.weight.is_contiguous()
    True
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._before = [(module, _device(module), _layout(module)) for module in modules]

    def place(self, device: torch.device, *, channels_last: bool) -> None:
        """Move all to a device; convolutional models to channels_last, if wanted and harmless."""
        for module, _, before in self._before:
            module.to(device)
            if breaks_channels_last(module, device):
                _lay_out(module, torch.contiguous_format)
            else:
                _lay_out(module, torch.channels_last if channels_last else before)

    def restore(self) -> None:
        """Put them back."""
        for module, device, layout in self._before:
            if device is not None:
                module.to(device)
            _lay_out(module, layout)


def _device(module: nn.Module) -> torch.device | None:
    first = next(chain(module.parameters(), module.buffers()), None)
    return None if first is None else first.device


def _layout(module: nn.Module) -> torch.memory_format:
    """The layout of the weights of convolutions."""
    weights = [p for p in module.parameters() if p.ndim == 4 and not p.is_contiguous()]
    last = any(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    return torch.channels_last if last else torch.contiguous_format


def _lay_out(module: nn.Module, layout: torch.memory_format) -> None:
    if _layout(module) != layout and any(isinstance(p, nn.Conv2d) for p in module.modules()):
        module.to(memory_format=layout)  # type: ignore[call-overload]
