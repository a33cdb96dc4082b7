"""GlobalContext: a map with what its image shows as a whole added at each position (GcNet)."""

import torch
from torch import Size, Tensor, nn

from stillhouse.bridges.shapes import as_map, map_shape


class GlobalContext(nn.Module):
    """``x + W2 relu(layer_norm(W1 sum_i a_i x_i))``, ``a = softmax_i(w x_i)`` over positions.

    W1 halves the width and W2 brings it back; W2 starts at 0, so at first the map is as it was.

    Args:
        shape: of the map, [B, C, H, W].

    Shapes:
        forward: [B, C, H, W] -> the same.

    Paper: Cao et al., GCNet, in the form of Yang et al., arXiv 2111.11837 (FGD).

    >>> import torch
    >>> x = torch.randn(2, 4, 3, 3)
    >>> bool((GlobalContext(x.shape)(x) == x).all())
    True
    """

    def __init__(self, shape: Size) -> None:
        super().__init__()
        width = int(map_shape(shape)[1])
        half = max(1, width // 2)
        self.attention = nn.Conv2d(width, 1, 1)
        self.first, self.norm = nn.Linear(width, half), nn.LayerNorm(half)
        self.last = nn.Linear(half, width)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        """The map with its context: of the positions inside, bool [B, 1, H, W], if that is said."""
        x = as_map(x)
        asked = self.attention(x)
        if inside is not None:
            asked = asked.masked_fill(~inside, -torch.inf)
        weights = asked.flatten(2).softmax(2)
        whole = (x.flatten(2) * weights).sum(2)
        added: Tensor = self.last(self.norm(self.first(whole)).relu())
        return x + added[..., None, None]
