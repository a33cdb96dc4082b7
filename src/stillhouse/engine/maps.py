"""Maps: what a module gives of an image, read as channels over positions [B, C, H, W].

Modules give maps with the channels first or last, and tokens [B, N, D]: a grid of patches in rows,
with extra tokens (class, distillation, registers) before it. Which of these a tensor is, is told by
the size of the image, by what the network declares, and by the widths that its layers work on.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

TOKENS, MAP = 3, 4
MOST_EXTRA = 16
"""So many tokens before the patches are looked for where a network does not say how many."""
DECLARED = "num_prefix_tokens"
"""What networks of timm say of their extra tokens."""
BEHIND = "detection_tokens"
"""What YOLOS calls its queries, which stand behind the patches."""
_EXTRA = re.compile(r"(^|_)(cls|class|dist|distillation|reg|register|registers)_(pos_)?tokens?$")
_NOT_IN_ROWS = re.compile(r"^Hiera")
"""Networks whose tokens stand in the order of their windows, so that no grid can be read."""
_POSITIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_PLAIN = (*_POSITIONS, nn.Linear, nn.GroupNorm, nn.InstanceNorm2d, nn.PReLU)


@dataclass(frozen=True)
class MapLayout:
    """What is known of a network's features beside their shapes.

    Args:
        extra: tokens before those of the patches; None where it is not known.
        widths: on which its layers work along the last dimension (Linear, LayerNorm).
        rows: whether its tokens stand in rows of the image; else they are no map.
        behind: tokens behind those of the patches, such as the queries of a detector.
    """

    extra: int | None
    widths: frozenset[int]
    rows: bool = True
    behind: int = 0

    @classmethod
    def of(cls, module: nn.Module) -> "MapLayout":
        """Of a network: what it declares (`num_prefix_tokens`), else its parameters by name.

        >>> net = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4))
        >>> net.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        >>> MapLayout.of(net)
        MapLayout(extra=1, widths=frozenset({4, 6}), rows=True, behind=0)
        """
        widths: set[int] = set()
        rows = True
        for part in module.modules():
            if isinstance(part, nn.Linear):
                widths |= {part.in_features, part.out_features}
            elif isinstance(part, nn.LayerNorm | nn.RMSNorm):
                widths.add(part.normalized_shape[-1])
            rows = rows and not _NOT_IN_ROWS.search(type(part).__name__)
        return cls(_extra_tokens(module), frozenset(widths), rows, _tokens_behind(module))

    def read(self, x: Tensor, image: torch.Size) -> Tensor | None:
        """A feature of images as a map [B, C, H, W], a view where that can be; None: it is none.

        Shapes:
            x: [B, C, H, W], [B, H, W, C], or tokens [B, N, D] in rows.
            image: of the images, [B, channels, height, width].

        >>> layout, image = MapLayout(1, frozenset({6})), torch.Size([2, 3, 32, 16])
        >>> [tuple(layout.read(torch.zeros(s), image).shape) for s in ((2, 9, 6), (2, 4, 2, 6))]
        [(2, 6, 4, 2), (2, 6, 4, 2)]
        >>> layout.read(torch.zeros(8, 2, 6), image) is None
        True
        """
        if x.ndim not in (TOKENS, MAP) or x.shape[0] != image[0] or not x.is_floating_point():
            return None
        size = int(image[-2]), int(image[-1])
        if x.ndim == MAP:
            return x.permute(0, 3, 1, 2) if self._channels_last(x.shape, size) else x
        if not self.rows or x.shape[2] == 1 or x.shape[2] not in self.widths:
            return None  # one number at each place is an average, [B, D, 1]
        known = [] if self.extra is None else [self.extra]
        for extra in (*known, *range(MOST_EXTRA + 1)):
            grid = grid_of(int(x.shape[1]) - extra - self.behind, size)
            if grid is not None:
                tokens: Tensor = x[:, extra : x.shape[1] - self.behind]
                return tokens.mT.reshape(len(x), x.shape[2], *grid)
        return None

    def _channels_last(self, shape: torch.Size, size: tuple[int, int]) -> bool:
        first, last = (int(shape[2]), int(shape[3])), (int(shape[1]), int(shape[2]))
        return shape[3] in self.widths and not _fits(first, size) and _fits(last, size)


def grid_of(count: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width of a grid of so many patches over an image; None: no patch makes one.

    >>> grid_of(196, (224, 224)), grid_of(8, (32, 16)), grid_of(197, (224, 224))
    ((14, 14), (4, 2), None)
    """
    if count < 1:
        return None
    for stride in range(1, max(size) + 1):
        for grid in _grids(stride, size):
            if grid[0] * grid[1] == count:
                return grid
    return None


def fits(feature: torch.Size, image: torch.Size) -> bool:
    """Whether the last two sides of a feature are a grid over an image of these last two sides.

    >>> fits(torch.Size([8, 16, 24]), torch.Size([3, 64, 96]))
    True
    """
    return _fits((int(feature[-2]), int(feature[-1])), (int(image[-2]), int(image[-1])))


def has_plain_maps(module: nn.Module) -> bool:
    """Whether a network is made of nothing but layers that put the channels first.

    >>> has_plain_maps(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)))
    True
    >>> has_plain_maps(nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm(4)))
    False
    """
    holders = [part for part in module.modules() if part._parameters]
    return all(isinstance(part, _PLAIN) for part in holders)


def _grids(stride: int, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The patches of one stride over an image: those that fit, and all that begin in it."""
    height, width = size
    return (height // stride, width // stride), (-(-height // stride), -(-width // stride))


def _fits(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a grid has the form of the image."""
    if size[0] == size[1]:
        return grid[0] == grid[1]
    return any(grid in _grids(stride, size) for stride in range(1, max(size) + 1))


def _extra_tokens(module: nn.Module) -> int | None:
    for part in module.modules():
        declared = getattr(part, DECLARED, None)
        if isinstance(declared, int) and not isinstance(declared, bool):
            return declared
    found = [
        int(value.shape[1]) if value.ndim == TOKENS else 1
        for name, value in module.named_parameters()
        if _EXTRA.search(name.rpartition(".")[2])
    ]
    return sum(found) if found else None


def _tokens_behind(module: nn.Module) -> int:
    named = ((name.rpartition(".")[2], value) for name, value in module.named_parameters())
    found = (
        int(value.shape[1]) for name, value in named if name == BEHIND and value.ndim == TOKENS
    )
    return next(found, 0)
