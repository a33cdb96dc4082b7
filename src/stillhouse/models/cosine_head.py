"""A classifier whose logits are scaled cosines: the head of margin losses, which can be shared."""

import torch
from torch import Tensor, nn

from stillhouse.functional.margin_heads import cosines, normalised_softmax

SPREAD = 0.01
"""Standard deviation of new centres. Their length does not change a logit, but a step of the
optimiser turns a short centre further: its gradient goes by one over the length."""


class CosineHead(nn.Module):
    """A head without bias: ``s cos(z, W_k)`` for each class, W_k the centre of class k.

    What it gives is without a margin: what the network answers and what a student may imitate. A
    margin is put on `cosines` in training (`stillhouse.functional.margin_heads`). To share a
    teacher's head, give a student a head with the teacher's weight, frozen.

    Args:
        width: D, of the embedding.
        classes: K.
        scale: s > 0. 64.0: insightface; few classes need less, see `least_scale`.

    Shapes:
        forward: [B, D] -> [B, K], float32. weight: [K, D], drawn from N(0, 0.01^2): insightface.

    >>> head = CosineHead(2, 3, scale=10.0)
    >>> _ = head.weight.data.copy_(torch.tensor([[2.0, 0.0], [0.0, 0.1], [-1.0, 0.0]]))
    >>> head(torch.tensor([[5.0, 0.0]])).tolist()
    [[10.0, 0.0, -10.0]]
    """

    def __init__(self, width: int, classes: int, *, scale: float = 64.0) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.randn(classes, width) * SPREAD)

    @property
    def in_features(self) -> int:
        """D, by the name that a Linear has for it."""
        return self.weight.shape[1]

    @property
    def out_features(self) -> int:
        """K, likewise."""
        return self.weight.shape[0]

    def cosines(self, embedding: Tensor) -> Tensor:
        """Of each embedding with each centre, [B, K]."""
        return cosines(embedding, self.weight)

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits without a margin."""
        return normalised_softmax(self.cosines(embedding), scale=self.scale)

    def extra_repr(self) -> str:
        """Its sizes."""
        return f"width={self.in_features}, classes={self.out_features}, scale={self.scale:g}"
