"""Layers on feature maps: regressors, bottlenecks and generators that end in a teacher's width."""

from torch import Size, Tensor, nn

from stillhouse.bridges.shapes import as_map, map_shape, resized


class AtSize(nn.Module):
    """Layers on a feature as a map of a given size: ``layers(resize(map(x)))``.

    Args:
        layers: of maps; an Identity only brings a feature to the size.
        size: height and width; None: as it comes.

    Shapes:
        forward: [B, C, H, W], [B, N, D] or [B, D] -> a map.

    >>> import torch
    >>> AtSize(nn.Conv2d(3, 5, 1), (2, 2))(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 5, 2, 2])
    """

    def __init__(self, layers: nn.Module, size: tuple[int, int] | None) -> None:
        super().__init__()
        self.layers = layers
        self._size = size

    def forward(self, x: Tensor) -> Tensor:
        """Resize, then the layers."""
        x = as_map(x)
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
    """A feature as a map of the smaller size of two, and nothing else."""
    return AtSize(nn.Identity(), smaller_size(mine, theirs))


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
