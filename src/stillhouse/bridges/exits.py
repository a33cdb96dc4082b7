"""Exits: what a network says from halfway, by a small branch that is dropped at inference."""

from torch import Size, Tensor, nn

from stillhouse.bridges.shapes import as_map, map_shape


class ExitBranch(nn.Module):
    """A feature on its way to the width of the embedding: ``mean_hw relu(norm(conv3x3(x)))``.

    The convolution has stride 2; tokens count as a map, a vector as one position.

    Args:
        mine, deep: shapes of the feature and of the embedding [B, D].

    Shapes:
        forward: a feature like ``mine`` -> [B, D].

    >>> import torch
    >>> branch = ExitBranch(Size([2, 4, 8, 8]), Size([2, 6]))
    >>> branch(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 6])
    """

    def __init__(self, mine: Size, deep: Size) -> None:
        super().__init__()
        self.conv = nn.Conv2d(map_shape(mine)[1], deep[1], 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(deep[1])

    def forward(self, x: Tensor) -> Tensor:
        """Branch off."""
        branched: Tensor = self.norm(self.conv(as_map(x))).relu().mean((2, 3))
        return branched


def classifier(embedding: Size, logits: Size) -> nn.Module:
    """A linear head from an embedding [B, D] to as many classes as there are logits [B, K].

    >>> classifier(Size([8, 3]), Size([8, 5]))
    Linear(in_features=3, out_features=5, bias=True)
    """
    return nn.Linear(embedding[1], logits[1])
