"""Critics: who looks at what a network says and tells student from teacher."""

import torch
from torch import Size, Tensor, nn

SLOPE = 0.2
"""Of the leaky ReLU: the custom of discriminators."""


class Critic(nn.Module):
    """One score for each side of a batch, large for what it takes for the teacher's.

    Three linear layers with leaky ReLU between, the same for both sides.

    Args:
        mine: shape of what it looks at, [B, D].
        hidden: width of the hidden layers.

    Shapes:
        forward: student, teacher: [B, D] -> [B, 2], the score of either.

    >>> Critic(Size([4, 10]), hidden=8)(torch.zeros(4, 10), torch.ones(4, 10)).shape
    torch.Size([4, 2])
    """

    def __init__(self, mine: Size, *, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(mine[1], hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, 1),
        )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Judge both."""
        return torch.cat([self.layers(student), self.layers(teacher)], dim=1)
