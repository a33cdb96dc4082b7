"""Rows of unit length: what is left of an embedding when its length is not to count."""

import torch
from torch import Tensor

SAME = 1e-12
"""An embedding shorter than this has no direction: its cosine with anything is 0."""


def directions(x: Tensor) -> Tensor:
    """Each row divided by its length, in float32; a row without direction stays what it is.

    Shapes:
        [B, ...] -> [B, D], flattened.

    >>> import torch
    >>> directions(torch.tensor([[0.0, 2.0], [0.0, 0.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    rows = x.flatten(1).float()
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    # Divided by 1 where there is no direction: by a tiny number its gradient would be huge.
    return rows / lengths.masked_fill(lengths <= SAME, 1.0)
