"""Levels: where a network ends to work at one resolution; found by running it once."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.taps import split_tap
from stillhouse.errors import ModelError
from stillhouse.models.detectors.adapter import is_detector
from stillhouse.pairing.heard import HeardMap, hear
from stillhouse.pairing.pyramid import pyramid

PARTS = 3
"""Into how many parts a network of one resolution (a transformer) is cut: thirds of its depth."""
LOOKED_AT = 3
"""Images on which a network is heard; odd, so that windows and heads are not taken for a batch."""
_OF_QUERIES = re.compile(r"decoder|predictor|classifier|_embed\b|(^|\.)head")
"""Parts of a detector that work on what it asks the image for, not on places of the image."""
LAYERS = 2
"""A block has at least so many layers with weights; one with its norm and activation is a layer."""


@dataclass(frozen=True)
class Level:
    """The last output of a network at one resolution: its tap and its shape as a map, [C, H, W]."""

    tap: str
    shape: tuple[int, ...]

    @property
    def resolution(self) -> int:
        """Positions of the map: height times width.

        >>> Level("layer1", (16, 32, 32)).resolution, Level("blocks.3", (192, 8, 8)).resolution
        (1024, 64)
        """
        return int(torch.Size(self.shape[1:]).numel())


def levels(module: nn.Module, image: Tensor) -> tuple[Level, ...]:
    """The last block of a network at each resolution, from the image to the head.

    Where a network says itself where its features are (`feature_info` of timm), that decides. Else
    a block is a module with several layers that have weights; where no block ends at a resolution
    it is the last layer. Resolutions count by powers of two, so that a convolution without padding
    begins no level. A network whose blocks have one resolution (a transformer) is heard at each
    third of its blocks instead.

    The levels of a detector are those of its pyramid; without one, those of what comes before its
    queries and heads.

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
    image = torch.cat([image[:LOOKED_AT]] * LOOKED_AT)[:LOOKED_AT]
    if is_detector(module):
        found = pyramid(module, image[:LOOKED_AT])
        if found:
            return tuple(Level(tap, shape) for tap, shape in found.items())
    heard = hear(module, image)
    if is_detector(module):
        heard = [one for one in heard if not any(map(_OF_QUERIES.search, one.taps))]
    if not heard:
        raise ModelError(
            f"{type(module).__name__} gives no maps [B, C, H, W] and no tokens [B, N, D] to pair "
            "up; name the pairs, or take a method of embeddings or logits"
        )
    shapes = {tap: tuple(one.value.shape[1:]) for one in heard for tap in one.taps}
    return tuple(Level(tap, shapes[tap]) for tap in _Found(module, heard, image).levels())


def heard_maps(module: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """All maps [B, C, H, W] that modules give (see `hear`), in the order of the run.

    Of modules that give the same map the one in `levels` stands for all, else the outermost, but
    for a whole trunk: one that holds blocks of other resolutions, as ``features`` of many
    convolutional networks does. Maps with the channels last and tokens come as maps too.

    Raises:
        ModelError: the model does not take such images.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU()), nn.AdaptiveAvgPool2d(1))
    >>> [(tap, tuple(x.shape)) for tap, x in heard_maps(net, torch.zeros(2, 3, 8, 8)).items()]
    [('0', (2, 4, 6, 6)), ('1', (2, 4, 6, 6))]
    """
    heard = hear(module, image)
    found = _Found(module, heard, image)
    ends = set(found.levels()) if heard else set()
    return {found.name(one, ends): one.value for one in heard}


def _declared(module: nn.Module, taps: Iterable[str], height: int) -> list[str] | None:
    """The last module at each reduction that a network names; None where it names none.

    Of an image of this height, what reduces it to one position is no map and is left out.
    """
    by_path = {split_tap(tap)[0]: tap for tap in taps}
    rows: dict[str, Any] = {}
    for path, row in _info(module):  # a block of two branches stands there once for each
        rows.setdefault(f"{path}.{row['module']}".lstrip("."), row["reduction"])
    there = [(by_path[path], reduction) for path, reduction in rows.items() if path in by_path]
    last = {reduction: tap for tap, reduction in there}
    gone = [reduction for reduction in rows.values() if reduction not in last]
    # What else is not heard was changed in place, or run several times.
    if not last or any(reduction < height for reduction in gone):
        return None
    return _thirds([tap for tap, _ in there]) if len(last) == 1 else list(last.values())


def _info(module: nn.Module) -> list[tuple[str, Mapping[str, Any]]]:
    """Rows of the `feature_info` of a network, or of the only part of it that has some."""
    found: dict[str, Any] = {}
    for path, part in module.named_modules():
        info = getattr(part, "feature_info", None)
        inside = any(not outer or path.startswith(f"{outer}.") for outer in found)
        if isinstance(info, list | tuple) and info and not inside:
            found[path] = info
    rows = [(path, row) for path, info in found.items() for row in info]
    usable = len(found) == 1 and all(
        isinstance(row, Mapping) and row.get("module") and row.get("reduction") for _, row in rows
    )
    return rows if usable else []


class _Found:
    """Which modules are layers, blocks and trunks, by what was heard of them.

    A trunk holds blocks of other resolutions than its own, or is a row of layers of several.
    """

    def __init__(self, module: nn.Module, heard: Sequence[HeardMap], image: Tensor) -> None:
        self.module, self.heard = module, heard
        self.height = height = image.shape[-2]
        self.octave = {
            tap: round(log2(height / one.value.shape[2])) for one in heard for tap in one.taps
        }
        parts = {tap: module.get_submodule(split_tap(tap)[0]) for tap in self.octave}
        weighty = {tap for tap, part in parts.items() if _layers(part) >= LAYERS}
        trunks: set[str] = set()
        for tap in sorted(weighty, key=lambda tap: tap.count("."), reverse=True):
            inner = {each for each in weighty - trunks if _inside(each, tap)}
            if isinstance(parts[tap], nn.Sequential):
                inner |= {f"{split_tap(tap)[0]}.{name}" for name, _ in parts[tap].named_children()}
            if any(self.octave.get(each, self.octave[tap]) != self.octave[tap] for each in inner):
                trunks.add(tap)
        self.trunks, self.blocks = trunks, weighty - trunks

    def name(self, one: HeardMap, ends: Collection[str] = ()) -> str:
        """A level, else the outermost block that gives this map, else a layer, else the trunk."""
        level = [tap for tap in one.taps if tap in ends]
        blocks = [tap for tap in one.taps if tap in self.blocks]
        others = [tap for tap in one.taps if tap not in self.trunks]
        return (level or blocks or others or list(one.taps))[-1]

    def levels(self) -> list[str]:
        """What the network declares, else what is found."""
        return _declared(self.module, self.octave, self.height) or self._levels()

    def _levels(self) -> list[str]:
        """Thirds of a network whose blocks have one resolution, else the last at each."""
        blocks = [one for one in self.heard if self.blocks & set(one.taps)]
        tokens = [one for one in self.heard if one.tokens]
        maps = {self._at(one) for one in self.heard if not one.tokens}
        single = blocks or tokens or list(self.heard)
        same = len({self._at(one) for one in single}) == 1
        if same and (all(one.tokens for one in single) or (blocks and len(maps) == 1)):
            return _thirds_of(single, self.blocks) or self._last(blocks)
        return self._last(blocks)

    def _last(self, blocks: list[HeardMap]) -> list[str]:
        """Blocks come first, single layers where none ends, but none that makes a map larger."""
        smallest, layers = min(self.octave.values()), []
        for one in self.heard:
            if one.tokens or self._within_block(one):
                continue
            smallest = max(smallest, self._at(one))
            layers += [one] if self._at(one) == smallest else []
        layers = layers or list(self.heard)
        last = {self._at(one): one for one in [*layers, *blocks]}
        if not blocks and all(one.tokens for one in self.heard[1:]):
            last = {self._at(self.heard[-1]): self.heard[-1]}
        order = {id(one): at for at, one in enumerate(self.heard)}
        return [self.name(one) for one in sorted(last.values(), key=lambda one: order[id(one)])]

    def _at(self, one: HeardMap) -> int:
        return self.octave[one.taps[-1]]

    def _within_block(self, one: HeardMap) -> bool:
        """Whether a map is given on the way through a block that ends at another resolution."""
        around = (block for block in self.blocks if _inside(one.taps[0], block))
        return any(self.octave[block] != self._at(one) for block in around)


def _inside(tap: str, block: str) -> bool:
    """Whether a module is a part of a block, by their taps."""
    return tap.startswith(f"{split_tap(block)[0]}.")


def _thirds_of(heard: Sequence[HeardMap], blocks: set[str]) -> list[str] | None:
    """The blocks at each third: siblings, the outermost of which there are so many."""
    taps = [tap for one in heard for tap in one.taps if tap in blocks or not blocks]
    parents = Counter(tap.rpartition(".")[0] for tap in taps)
    several = [parent for parent, count in parents.items() if count >= PARTS]
    if not several:
        return None
    parent = min(several, key=lambda path: path.count(".") if path else -1)
    return _thirds([tap for tap in taps if tap.rpartition(".")[0] == parent])


def _thirds(blocks: list[str]) -> list[str]:
    if len(blocks) < PARTS:
        return blocks[-1:]
    return [blocks[len(blocks) * (part + 1) // PARTS - 1] for part in range(PARTS)]


def _layers(module: nn.Module) -> int:
    """How many parts of a module hold weights: matrices, not factors per channel."""
    return sum(any(p.ndim > 1 for p in part._parameters.values() if p is not None)
               for part in module.modules())  # fmt: skip
