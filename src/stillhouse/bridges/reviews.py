"""Bridges that review: a student's map joined with what its deeper layers made of theirs."""

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn

from stillhouse.bridges.shapes import as_map, map_shape

WIDEST = 512
"""No map is fused with more channels."""


class Fusion(nn.Module):
    """A map and what comes from the deeper layers, weighted at each position by attention.

    ``x = norm(conv1x1(map))``; with a deeper map y, resized (nearest) to it, ``x a_1 + y a_2``, the
    two a from a 1x1 convolution of both and a sigmoid; then resized (nearest) to the teacher's map.

    Args:
        mine, theirs, deepest: shapes of the student's and the teacher's feature, and of the
            student's deepest one, which decides the channels, at most 512.
        fuse: whether there is a deeper map.

    Shapes:
        forward: a feature like ``mine``, a map y [B, M, h, w] -> [B, M, H, W], H, W of ``theirs``.

    Paper: Chen et al., "Distilling Knowledge via Knowledge Review", arXiv 2104.09044, figure 3a.

    >>> fusion = Fusion(*map(Size, ([2, 4, 8, 8], [2, 6, 4, 4], [2, 5])), fuse=True)
    >>> fusion(torch.zeros(2, 4, 8, 8), torch.zeros(2, 5, 1, 1)).shape
    torch.Size([2, 5, 4, 4])
    """

    def __init__(self, mine: Size, theirs: Size, deepest: Size, *, fuse: bool) -> None:
        super().__init__()
        width = min(WIDEST, map_shape(deepest)[1])
        self.conv = nn.Conv2d(map_shape(mine)[1], width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.attention = nn.Conv2d(2 * width, 2, 1) if fuse else None
        self._size = map_shape(theirs)[2:]
        nn.init.kaiming_uniform_(self.conv.weight, a=1)

    def forward(self, x: Tensor, deeper: Tensor | None = None) -> Tensor:
        """Fuse."""
        x = self.norm(self.conv(as_map(x)))
        if self.attention is not None and deeper is not None:
            y = _nearest(deeper, x.shape[2:])
            shares = torch.sigmoid(self.attention(torch.cat([x, y], 1)))
            x = x * shares[:, :1] + y * shares[:, 1:]
        return _nearest(x, self._size)


def reviewer(fused: Size, theirs: Size) -> nn.Module:
    """A 3x3 convolution without bias and batch norm, from what was fused to the teacher's width.

    >>> reviewer(Size([2, 5, 4, 4]), Size([2, 6, 4, 4]))(torch.zeros(2, 5, 4, 4)).shape
    torch.Size([2, 6, 4, 4])
    """
    width = map_shape(theirs)[1]
    conv = nn.Conv2d(fused[1], width, 3, padding=1, bias=False)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return nn.Sequential(conv, nn.BatchNorm2d(width))


def _nearest(x: Tensor, size: Size) -> Tensor:
    return x if x.shape[2:] == size else F.interpolate(x, (size[0], size[1]), mode="nearest")
