"""Embeddings of several teachers brought to one scale: PHI-S, a rotation and one division."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.errors import DataError


@dataclass(frozen=True)
class Standardised:
    """How embeddings of one teacher become `y`, by statistics that were fitted once.

    ``y = R (x - mean) / scale`` with R a rotation; back: ``x = scale R' y + mean``.

    Args:
        mean: [D]. rotation: [D, D], orthogonal. scale: the root of the mean variance.
    """

    mean: Tensor
    rotation: Tensor
    scale: float

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings [N, D] at variance 1 in every dimension."""
        return (x - self.mean.to(x)) @ self.rotation.to(x).T / self.scale

    def back(self, y: Tensor) -> Tensor:
        """Where such embeddings lie in the teacher's own space."""
        return y @ self.rotation.to(y) * self.scale + self.mean.to(y)


def phi_s(x: Tensor) -> Standardised:
    """PHI-S: rotated such that all dimensions vary alike, then divided by one number.

    With mean and covariance ``S = U diag(l) U'`` of the rows, ``scale = sqrt(mean(l))`` and
    ``R = H U'``, where H is orthogonal and makes the diagonal of ``H diag(l) H'`` constant: every
    dimension of y has variance exactly 1, and distances are scaled alike, so that no teacher and
    no dimension weighs more in a squared error.

    H is the Hadamard matrix where the width is a power of two, else a product of D - 1 plane
    rotations that make one diagonal element after the other the mean (Bendel & Mickey 1978), which
    exists for any width and draws nothing at random.

    Shapes:
        x: [N, D], N at least 2.

    Raises:
        DataError: fewer rows, values that are not finite, or rows that do not vary.

    Paper: Ranzinger et al., "PHI-S: Distribution Balancing for Label-Free Multi-Teacher
        Distillation", arXiv 2410.01680.

    Differs from the authors' code: Hadamard matrices of other sizes are not built, and where none
        exists their code draws a random matrix, by which variances are alike only nearly.

    >>> x = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> [round(v, 6) for v in phi_s(x).forward(x).var(0, correction=0).tolist()]
    [1.0, 1.0]
    """
    rows = x.detach().flatten(1).double()
    if len(rows) < 2 or not bool(rows.isfinite().all()):
        raise DataError("PHI-S is fitted on two rows or more, of finite numbers")
    mean = rows.mean(0)
    covariance = (rows - mean).T @ (rows - mean) / len(rows)
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp_min(0.0)
    scale = float(values.mean().sqrt())
    if scale == 0.0:
        raise DataError("PHI-S is fitted on rows that vary; these are all alike")
    return Standardised(mean, _levelling(values) @ vectors.T, scale)


def _levelling(values: Tensor) -> Tensor:
    """An orthogonal H for which the diagonal of ``H diag(values) H'`` is their mean."""
    width = len(values)
    if width & (width - 1) == 0:
        from scipy.linalg import hadamard

        signs: Tensor = torch.from_numpy(hadamard(width, dtype=float))
        return signs.div(width**0.5)
    turned, mean = torch.eye(width, dtype=torch.float64), float(values.mean())
    matrix = torch.diag(values)
    for _ in range(width - 1):
        diagonal = matrix.diagonal()
        low, high = int(diagonal.argmin()), int(diagonal.argmax())
        if float(diagonal[high] - diagonal[low]) <= 1e-12 * mean:
            break
        _level(matrix, turned, low, high, mean)
    return turned


def _level(matrix: Tensor, turned: Tensor, low: int, high: int, mean: float) -> None:
    """Turn the plane of two dimensions so that the first of them has the mean on the diagonal."""
    a, b, c = (float(matrix[i, j]) for i, j in ((low, low), (low, high), (high, high)))
    # t solves (c - mean) t^2 + 2 b t + (a - mean) = 0; real, as a is below the mean, c above.
    root = (b * b - (a - mean) * (c - mean)) ** 0.5
    t = (-b - root) / (c - mean) if b > 0 else (root - b) / (c - mean)
    cosine = 1.0 / (1.0 + t * t) ** 0.5
    turn = torch.tensor([[cosine, t * cosine], [-t * cosine, cosine]], dtype=torch.float64)
    pair = torch.tensor([low, high])
    matrix[pair] = turn @ matrix[pair]
    matrix[:, pair] = matrix[:, pair] @ turn.T
    matrix[low, low] = mean
    turned[pair] = turn @ turned[pair]
