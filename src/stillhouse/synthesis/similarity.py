"""Class similarity: what the head of a classifier knows about its classes, without any image."""

import torch
from torch import Tensor

from stillhouse.errors import ModelError

FLOOR = 1e-4
"""Added to every concentration, after the multiplication by beta: the released Zero-Shot KD code.

The row-wise min-max makes the smallest entry of each row exactly 0, and a Dirichlet distribution
needs numbers above 0. A class with this concentration gets practically no probability (a draw of
Gamma(1e-4) is below 1e-300 in 93 of 100 cases), which is what a similarity of 0 means, and it moves
the diagonal, which is beta, by a tenth of a percent at beta 0.1. Dropping the class instead would
say the same and need draws of another length in every row.
"""


def class_similarity(weight: Tensor) -> Tensor:
    """Cosine between the weights of two classes, each row stretched to 0..1.

    ``C(i, j) = w_i . w_j / (|w_i| |w_j|)``, then ``(C(i, j) - min_j C(i, j)) / (1 - min_j C(i,
    j))``: the diagonal is 1 and the least similar class of each row is exactly 0. The bias is not
    used. With two classes it is the identity, so that targets are one-hot.

    Shapes:
        weight: [K, D], of the head; returns [K, K] float64 on the CPU; not symmetric.

    Raises:
        ModelError: fewer than two classes, a class without weights, or classes that are all alike.

    Paper: Nayak et al., "Zero-Shot Knowledge Distillation in Deep Networks", ICML 2019, section 3.

    Differs from the authors' code: it stretches the whole matrix first and the rows then, which
        comes to the same.

    >>> class_similarity(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]]))[0].tolist()
    [1.0, 0.5, 0.0]
    """
    rows = weight.detach().double().cpu()
    norms = rows.norm(dim=1, keepdim=True)
    if len(rows) < 2 or not bool((norms > 0).all()) or not bool(torch.isfinite(rows).all()):
        raise ModelError(
            f"the head's weights {list(weight.shape)} give no class similarity: it takes two "
            "classes or more, each with weights that are finite and not all zero"
        )
    unit = rows / norms
    cosine = unit @ unit.T
    cosine.fill_diagonal_(1.0)
    low = cosine.min(1, keepdim=True).values
    if bool((low >= 1.0).any()):
        raise ModelError(
            "the head's weights point the same way for all classes, so no class is more similar "
            "than another; is the teacher trained?"
        )
    stretched: Tensor = (cosine - low) / (1.0 - low)
    return stretched


def concentrations(similarity: Tensor, beta: float, *, floor: float = FLOOR) -> Tensor:
    """Concentration of the Dirichlet distribution of each class: ``beta * C + floor``.

    A small beta gives peaks on single classes, a large one smooth mixtures: the variance falls as
    the sum of the concentrations grows.

    Shapes:
        similarity: [K, K] in 0..1; returns the same.

    >>> found = concentrations(torch.eye(2, dtype=torch.float64), 0.1)
    >>> [round(value, 4) for value in found[0].tolist()]
    [0.1001, 0.0001]
    """
    return beta * similarity + floor
