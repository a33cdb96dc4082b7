"""Levels: where a network ends to work at one resolution; found by running it once."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.errors import ModelError

MAP, TOKENS = 4, 3
PARTS = 3
"""Into how many parts a network of one resolution (a transformer) is cut: thirds of its depth."""


@dataclass(frozen=True)
class Level:
    """The last output of a network at one resolution: its tap and shape, without the batch."""

    tap: str
    shape: tuple[int, ...]

    @property
    def resolution(self) -> int:
        """Positions of the map: height times width, or tokens.

        >>> Level("layer1", (16, 32, 32)).resolution, Level("blocks.3", (65, 192)).resolution
        (1024, 65)
        """
        size = self.shape[1:] if len(self.shape) == MAP - 1 else self.shape[:1]
        return int(torch.Size(size).numel())


def heard_maps(module: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """All maps [B, C, H, W] and tokens [B, N, D] that modules give, in the order of the run.

    Of modules that give the same tensor the outermost stands for all. Left out: modules that run
    several times, maps of one position, and what is changed in place afterwards.

    Raises:
        ModelError: the model does not take such images.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU()), nn.AdaptiveAvgPool2d(1))
    >>> [(tap, tuple(x.shape)) for tap, x in heard_maps(net, torch.zeros(2, 3, 8, 8)).items()]
    [('0', (2, 4, 6, 6)), ('1', (2, 4, 6, 6))]
    """
    heard: dict[str, tuple[Tensor, int]] = {}
    runs: Counter[str] = Counter()

    def listen(name: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            runs[name] += 1
            if isinstance(output, Tensor) and _is_map(output):
                heard[name] = output, output._version

        return hook

    parts = [(name, part) for name, part in module.named_modules() if name]
    handles = [part.register_forward_hook(listen(name)) for name, part in parts]
    flags = Flags([module])
    try:
        module.eval()
        with torch.no_grad():
            module(image)
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__} does not take images {list(image.shape[1:])}: {error}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
        flags.restore()
    once = {name: x for name, (x, seen) in heard.items() if runs[name] == 1 and x._version == seen}
    outermost = {id(x): name for name, x in once.items()}  # an outer module ends after its parts
    return {name: x for name, x in once.items() if outermost[id(x)] == name}


def levels(module: nn.Module, image: Tensor) -> tuple[Level, ...]:
    """The last block of a network at each resolution, from the image to the head.

    Where no block (a module with parts) ends at a resolution it is the last layer.

    A network of one resolution (a transformer) is heard at each third of its blocks instead.

    Args:
        module: any model of images; only listened to, in eval mode.
        image: some of its images, [B, C, H, W].

    Raises:
        ModelError: the model does not take such images, or gives no map.

    >>> from stillhouse.models import build_model
    >>> found = levels(build_model("resnet8", classes=10), torch.zeros(2, 3, 32, 32))
    >>> [(level.tap, level.shape) for level in found]
    [('layer1', (16, 32, 32)), ('layer2', (32, 16, 16)), ('layer3', (64, 8, 8))]
    """
    maps = heard_maps(module, image)
    if not maps:
        raise ModelError(
            f"{type(module).__name__} gives no maps [B, C, H, W] and no tokens [B, N, D] to pair "
            "up; name the pairs, or take a method of embeddings or logits"
        )
    found = [Level(tap, tuple(x.shape[1:])) for tap, x in maps.items()]
    tokens = [level for level in found if len(level.shape) == TOKENS - 1]
    maps_at = {level.resolution for level in found if level not in tokens}
    # A transformer has the map of its patches at most; a convnet may flatten its last map.
    if len({level.resolution for level in tokens}) == 1 and len(maps_at) <= 1:
        return _thirds(tokens)
    found = [level for level in found if level not in tokens] if len(maps_at) > 1 else found
    # A block at its first layers still has the resolution of the level before: blocks that end
    # there come first, single layers only where none does.
    blocks = [level for level in found if any(module.get_submodule(level.tap).children())]
    last = {level.resolution: level for level in [*found, *blocks]}.values()
    return tuple(sorted(last, key=found.index))


def _thirds(found: list[Level]) -> tuple[Level, ...]:
    """The blocks at each third: the outermost modules of which there are so many."""
    depths = Counter(level.tap.count(".") for level in found)
    depth = min((depth for depth, count in depths.items() if count >= PARTS), default=None)
    if depth is None:
        return (found[-1],)
    blocks = [level for level in found if level.tap.count(".") == depth]
    return tuple(blocks[len(blocks) * (part + 1) // PARTS - 1] for part in range(PARTS))


def _is_map(x: Tensor) -> bool:
    if x.ndim == MAP:
        return x.shape[2] * x.shape[3] > 1
    return x.ndim == TOKENS and x.shape[1] > 1
