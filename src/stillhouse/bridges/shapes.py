"""Shapes: any feature as a map, any map at the size and width of another."""

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import WiringError

VECTOR, TOKENS, MAP = 2, 3, 4


def as_map(x: Tensor) -> Tensor:
    """A feature as a map [B, C, H, W]: tokens in their square, a vector as one position.

    Tokens that are one or two more than a square begin with a class (and a distillation) token,
    which is left out; tokens that make no square stand in one row.

    Shapes:
        x: [B, D], [B, N, D] or [B, C, H, W].

    Raises:
        WiringError: it has another number of dimensions.

    >>> as_map(torch.zeros(2, 17, 8)).shape, as_map(torch.zeros(2, 5)).shape
    (torch.Size([2, 8, 4, 4]), torch.Size([2, 5, 1, 1]))
    """
    if x.ndim == MAP:
        return x
    if x.ndim == VECTOR:
        return x[:, :, None, None]
    if x.ndim != TOKENS:
        said = f"it has {x.ndim} dimensions"
        raise WiringError("feature", [f"{said}; tap one of [B, D], [B, N, D] or [B, C, H, W]"])
    for extra in (0, 1, 2):
        side = isqrt(x.shape[1] - extra)
        if side and side * side == x.shape[1] - extra:
            return x[:, extra:].mT.reshape(len(x), x.shape[2], side, side)
    return x.mT[:, :, None]


def map_shape(shape: torch.Size) -> torch.Size:
    """The shape that `as_map` gives.

    >>> map_shape(torch.Size([2, 17, 8]))
    torch.Size([2, 8, 4, 4])
    """
    return as_map(torch.empty(shape, device="meta")).shape


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """A map at another size: averaged over areas to shrink, bilinear to grow.

    Shapes:
        x: [B, C, H, W]; returns ``[B, C, *size]``.

    >>> resized(torch.arange(4.0).view(1, 1, 2, 2), (1, 1)).item()
    1.5
    """
    if x.shape[2:] == torch.Size(size):
        return x
    if x.shape[2] >= size[0] and x.shape[3] >= size[1]:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


class Connector(nn.Module):
    """A student's feature in the shape of the teacher's, which is a map, too.

    ``resize(norm(conv1x1(x)))``: a linear map of the channels at each position, then the size.

    Args:
        mine, theirs: shapes of the two features; vectors and tokens count as maps (`as_map`).
        norm: batch norm after the convolution, which then has no bias.

    Shapes:
        forward: a feature like ``mine`` -> [B, C, H, W] of the teacher's C, H, W.

    >>> connect = Connector(torch.Size([2, 4, 8, 8]), torch.Size([2, 6, 4, 4]))
    >>> connect(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 6, 4, 4])
    """

    def __init__(self, mine: torch.Size, theirs: torch.Size, *, norm: bool = True) -> None:
        super().__init__()
        mine, theirs = map_shape(mine), map_shape(theirs)
        self.conv = nn.Conv2d(mine[1], theirs[1], 1, bias=not norm)
        self.norm: nn.Module = nn.BatchNorm2d(theirs[1]) if norm else nn.Identity()
        self._size = (theirs[2], theirs[3])

    def forward(self, x: Tensor) -> Tensor:
        """Connect."""
        return resized(self.norm(self.conv(as_map(x))), self._size)
