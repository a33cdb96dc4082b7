"""Parts of a transformer: tokens with positions, attention, and the block of both."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Tokens(nn.Module):
    """Learned tokens before those of the patches, and a learned position for each.

    Shapes: `[B, patches, width]` -> `[B, count + patches, width]`.

    >>> Tokens(2, 49, 8)(torch.zeros(3, 49, 8)).shape
    torch.Size([3, 51, 8])
    """

    def __init__(self, count: int, patches: int, width: int) -> None:
        super().__init__()
        self.learned = nn.Parameter(torch.empty(1, count, width))
        self.positions = nn.Parameter(torch.empty(1, count + patches, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both anew."""
        nn.init.trunc_normal_(self.learned, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, patches: Tensor) -> Tensor:
        """All tokens at their positions."""
        learned = self.learned.expand(len(patches), -1, -1)
        return torch.cat([learned, patches], 1) + self.positions


class Block(nn.Module):
    """Attention and a perceptron of four widths, each behind a layer norm and beside a shortcut.

    Shapes: `[B, tokens, width]` -> the same.

    >>> Block(8, 2)(torch.zeros(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The tokens after one block."""
        x = x + self.attention(self.norm1(x))
        after: Tensor = x + self.mlp(self.norm2(x))
        return after


class Attention(nn.Module):
    """Self-attention: ``softmax(Q K' / sqrt(d)) V`` in each head of width d.

    Shapes: `[B, tokens, width]` -> the same.

    >>> Attention(8, 2)(torch.zeros(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """What each token gathers from all."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value)
        gathered: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return gathered
