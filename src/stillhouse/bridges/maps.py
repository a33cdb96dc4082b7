"""Convolutions on feature maps: regressors, bottlenecks, masked generators, encoders of factors."""

import torch
from torch import Size, Tensor, nn

from stillhouse.bridges.shapes import as_map, map_shape, resized

SLOPE = 0.1
"""Of the leaky ReLUs, as in the benchmark of CRD."""


class AtSize(nn.Module):
    """Layers on a feature as a map of a given size: ``layers(resize(map(x)))``.

    Args:
        layers: of maps; an Identity only brings a feature to the size.
        size: height and width; None: as it comes.
        plain: first in the contiguous layout, so that the average is that of a cached map.

    Shapes:
        forward: [B, C, H, W], [B, N, D] or [B, D] -> a map.

    >>> import torch
    >>> AtSize(nn.Conv2d(3, 5, 1), (2, 2))(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 5, 2, 2])
    """

    def __init__(
        self, layers: nn.Module, size: tuple[int, int] | None, *, plain: bool = False
    ) -> None:
        super().__init__()
        self.layers = layers
        self._size = size
        self._plain = plain

    def forward(self, x: Tensor) -> Tensor:
        """Resize, then the layers."""
        x = as_map(x).contiguous() if self._plain else as_map(x)
        value: Tensor = self.layers(x if self._size is None else resized(x, self._size))
        return value


def smaller_size(mine: Size, theirs: Size) -> tuple[int, int]:
    """The height and width at which two features are compared: the smaller of both.

    >>> smaller_size(Size([2, 4, 8, 8]), Size([2, 17, 6]))
    (4, 4)
    """
    (a, b), (c, d) = map_shape(mine)[2:], map_shape(theirs)[2:]
    return min(a, c), min(b, d)


def at_smaller_size(mine: Size, theirs: Size) -> AtSize:
    """A target as a map of the smaller size of two, and nothing else.

    >>> import torch
    >>> at_smaller_size(Size([2, 4, 2, 2]), Size([2, 6, 4, 4]))(torch.zeros(2, 6, 4, 4)).shape
    torch.Size([2, 6, 2, 2])
    """
    return AtSize(nn.Identity(), smaller_size(mine, theirs), plain=True)


def mean_network(mine: Size, theirs: Size) -> AtSize:
    """Three 1x1 convolutions without bias, ReLU between them, at the smaller size of two features.

    Shapes:
        forward: like ``mine`` -> [B, C, h, w]; C is that of ``theirs``, in hidden layers too.

    >>> import torch
    >>> net = mean_network(Size([2, 4, 8, 8]), Size([2, 6, 4, 4]))
    >>> net(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 6, 4, 4])
    """
    before, width = map_shape(mine)[1], map_shape(theirs)[1]
    layers = [
        nn.Conv2d(before, width, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(width, width, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(width, width, 1, bias=False),
    ]
    return AtSize(nn.Sequential(*layers), smaller_size(mine, theirs))


def bottleneck(mine: Size, theirs: Size, *, factor: int, relu: bool = True) -> AtSize:
    """1x1, 3x3 and 1x1 convolutions through few channels, at the smaller size of two features.

    Batch norm and ReLU after each convolution, which has no bias.

    Args:
        mine, theirs: shapes of the two features.
        factor: the hidden layers have so many times fewer channels than ``theirs``, at least one.
        relu: whether it ends in a ReLU, as the feature that it is to become does.

    Shapes:
        forward: like ``mine`` -> [B, C, h, w], C of ``theirs``.

    >>> net = bottleneck(Size([2, 4, 8, 8]), Size([2, 6, 4, 4]), factor=2)
    >>> [tuple(p.shape) for p in net.parameters() if p.ndim == 4]
    [(3, 4, 1, 1), (3, 3, 3, 3), (6, 3, 1, 1)]
    """
    before, after = map_shape(mine)[1], map_shape(theirs)[1]
    width = max(after // factor, 1)
    layers = [
        *_normed(nn.Conv2d(before, width, 1, bias=False)),
        *_normed(nn.Conv2d(width, width, 3, padding=1, bias=False)),
        *_normed(nn.Conv2d(width, after, 1, bias=False)),
    ]
    return AtSize(nn.Sequential(*layers[: None if relu else -1]), smaller_size(mine, theirs))


def regressor(mine: Size, theirs: Size, *, relu: bool = True) -> AtSize:
    """A 1x1 convolution without bias, batch norm and ReLU, at the feature's own size.

    Shapes:
        forward: like ``mine`` -> [B, C, H, W] with C of ``theirs``.

    >>> [type(part).__name__ for part in regressor(Size([2, 4, 8, 8]), Size([2, 6])).layers]
    ['Conv2d', 'BatchNorm2d', 'ReLU']
    """
    layers = _normed(nn.Conv2d(map_shape(mine)[1], map_shape(theirs)[1], 1, bias=False))
    return AtSize(nn.Sequential(*layers[: None if relu else -1]), None)


class PositionMean(nn.Module):
    """The mean over positions: a map as a vector.

    Shapes:
        forward: [B, C, H, W] -> [B, C].

    >>> import torch
    >>> PositionMean()(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 3])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Average."""
        return x.mean((2, 3))


class ChannelMask(nn.Module):
    """In training, sets channels (or positions) of each example to 0 at random; in eval mode none.

    The others stay as they are: dropout would make them larger.

    Args:
        share: of the channels that are set to 0, in 0..1.
        positions: whether positions are, of all channels.

    Shapes:
        forward: [B, C, H, W] -> the same.

    >>> ChannelMask(1.0)(torch.ones(1, 2, 1, 1)).flatten().tolist()
    [0.0, 0.0]
    """

    def __init__(self, share: float, *, positions: bool = False) -> None:
        super().__init__()
        self.share, self.positions = share, positions

    def forward(self, x: Tensor) -> Tensor:
        """Mask."""
        if not self.training:
            return x
        rows, width, *sides = x.shape
        form = (rows, 1, *sides) if self.positions else (rows, width, 1, 1)
        kept = torch.rand(*form, device=x.device) >= self.share
        return x * kept

    def extra_repr(self) -> str:
        """Its share, and of what where it is of positions."""
        return f"share={self.share}" + (", positions" if self.positions else "")


def masked_generator(mine: Size, theirs: Size, *, share: float, positions: bool = False) -> AtSize:
    """Align, mask, generate: a 1x1 convolution where widths differ, then two 3x3 convolutions.

    ReLU between the two; both keep the width and have a bias, as the first has.

    Args:
        mine, theirs: shapes of the two features.
        share: of the channels that the mask sets to 0.
        positions: whether it sets positions to 0 in place of channels.

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
        ChannelMask(share, positions=positions),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
    ]
    return AtSize(nn.Sequential(*layers), (size[0], size[1]))


def factor_encoder(width: int, factors: int, *, norm: bool = False) -> nn.Sequential:
    """Three 3x3 convolutions from a map to its factors: a translator, or half a paraphraser.

    >>> import torch
    >>> factor_encoder(6, 3)(torch.zeros(2, 6, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """
    steps = [(width, width), (width, factors), (factors, factors)]
    layers = [part for a, b in steps for part in _layer(nn.Conv2d(a, b, 3, padding=1), b, norm)]
    return nn.Sequential(*layers)


def factor_decoder(factors: int, width: int, *, norm: bool = False) -> nn.Sequential:
    """Three transposed 3x3 convolutions from factors back to the map.

    >>> import torch
    >>> factor_decoder(3, 6)(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 6, 4, 4])
    """
    steps = [(factors, factors), (factors, width), (width, width)]
    made = [(nn.ConvTranspose2d(a, b, 3, padding=1), b) for a, b in steps]
    return nn.Sequential(*(part for layer, b in made for part in _layer(layer, b, norm)))


def _normed(conv: nn.Conv2d) -> list[nn.Module]:
    return [conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU()]


def _layer(convolution: nn.Module, width: int, norm: bool) -> list[nn.Module]:
    middle: list[nn.Module] = [nn.BatchNorm2d(width)] if norm else []
    return [convolution, *middle, nn.LeakyReLU(SLOPE)]
