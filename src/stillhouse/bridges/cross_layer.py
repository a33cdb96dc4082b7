"""Between layers of one network: flow matrices, shifts, the fusion of a map with a deeper one."""

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn

from stillhouse.bridges.shapes import as_map, map_shape, resized

WIDEST = 512
"""No map is fused with more channels."""


def flow(early: Tensor, late: Tensor) -> Tensor:
    """The flow matrix of two maps: ``G_ij = mean_n early_i(n) late_j(n)`` over positions n.

    Of two sizes the larger map is averaged to the smaller one.

    Shapes:
        early, late: features that count as maps (`as_map`) of C and D channels; returns [B, C, D].

    Paper: Yim et al., "A Gift from Knowledge Distillation", CVPR 2017, equation 1.

    >>> import torch
    >>> flow(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[2.0, 4.0]]]])).item()
    7.0
    """
    maps = as_map(early), as_map(late)
    height, width = (min(x.shape[side] for x in maps) for side in (2, 3))
    # Plain memory first: a cached map and a live one in channels_last then give the same bits.
    a, b = (resized(x.contiguous(), (height, width)).flatten(2) for x in maps)
    return a @ b.mT / (height * width)


def layer_shift(early: Tensor, late: Tensor) -> Tensor:
    """The later feature minus the earlier one, as vectors: ``mean(late) - mean(early)``.

    Means are over positions. The wider of the two is brought to the width of the other by means
    over neighbouring channels (pairs of them, where a network doubles its width).

    Shapes:
        early, late: [B, D], [B, N, D] or [B, C, H, W]; returns [B, the smaller width], float32.

    Paper: Liu et al., "Knowledge Distillation via Instance Relationship Graph", CVPR 2019.

    Differs from the authors' code: theirs compares layers of one width only.

    >>> import torch
    >>> layer_shift(torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0, 4.0, 6.0, 8.0]])).tolist()
    [[2.0, 2.0]]
    """
    # Contiguous, so that a cached map and a live one (channels last) are summed in one order.
    before, after = (as_map(x).float().contiguous().mean((2, 3)) for x in (early, late))
    width = min(before.shape[1], after.shape[1])
    return _narrowed(after, width) - _narrowed(before, width)


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


def _narrowed(x: Tensor, width: int) -> Tensor:
    return x if x.shape[1] == width else F.adaptive_avg_pool1d(x[:, None], width)[:, 0]
