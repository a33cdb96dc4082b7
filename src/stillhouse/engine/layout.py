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
        self._devices = [(module, _device(module)) for module in modules]
        self._strides = {
            p: p.stride() for module, _ in self._devices for p in module.parameters() if p.ndim == 4
        }

    def place(self, device: torch.device, *, channels_last: bool) -> None:
        """Move all to a device; convolutional models to channels_last, if wanted and harmless."""
        for module, _ in self._devices:
            module.to(device)
            if breaks_channels_last(module, device):
                module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            elif channels_last and any(isinstance(part, nn.Conv2d) for part in module.modules()):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def restore(self) -> None:
        """Put them back."""
        for module, device in self._devices:
            if device is not None:
                module.to(device)
        for parameter, strides in self._strides.items():
            if parameter.stride() != strides:
                before = torch.empty_strided(
                    parameter.shape, strides, dtype=parameter.dtype, device=parameter.device
                )
                parameter.data = before.copy_(parameter.data)


def _device(module: nn.Module) -> torch.device | None:
    first = next(chain(module.parameters(), module.buffers()), None)
    return None if first is None else first.device
