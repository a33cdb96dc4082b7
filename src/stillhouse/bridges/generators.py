"""Bridges that make a teacher's map again from a student's of which channels are missing."""

import torch
from torch import Size, Tensor, nn

from stillhouse.bridges.maps import AtSize
from stillhouse.bridges.shapes import map_shape


class ChannelMask(nn.Module):
    """In training, sets channels of each example to 0 at random; in eval mode none.

    The others stay as they are: dropout would make them larger.

    Args:
        share: of the channels that are set to 0, in 0..1.

    Shapes:
        forward: [B, C, H, W] -> the same.

    >>> ChannelMask(1.0)(torch.ones(1, 2, 1, 1)).flatten().tolist()
    [0.0, 0.0]
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Mask."""
        if not self.training:
            return x
        kept = torch.rand(*x.shape[:2], 1, 1, device=x.device) >= self.share
        return x * kept

    def extra_repr(self) -> str:
        """Its share."""
        return f"share={self.share}"


def masked_generator(mine: Size, theirs: Size, *, share: float) -> AtSize:
    """Align, mask, generate: a 1x1 convolution where widths differ, then two 3x3 convolutions.

    ReLU between the two; both keep the width and have a bias, as the first has.

    Args:
        mine, theirs: shapes of the two features.
        share: of the channels that the mask sets to 0.

    Shapes:
        forward: like ``mine`` -> [B, C, H, W] of ``theirs``.

    >>> net = masked_generator(Size([2, 4, 8, 8]), Size([2, 6, 4, 4]), share=0.15)
    >>> [type(part).__name__ for part in net.layers], net(torch.zeros(2, 4, 8, 8)).shape[1:]
    (['Conv2d', 'ChannelMask', 'Conv2d', 'ReLU', 'Conv2d'], torch.Size([6, 4, 4]))
    """
    before, (_, width, *size) = map_shape(mine)[1], map_shape(theirs)
    align = nn.Identity() if before == width else nn.Conv2d(before, width, 1)
    layers = [
        align,
        ChannelMask(share),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
    ]
    return AtSize(nn.Sequential(*layers), (size[0], size[1]))
