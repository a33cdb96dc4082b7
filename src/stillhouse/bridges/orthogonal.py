"""An orthogonal projector: the student's features at the teacher's width, lengths and angles kept.

No package's own parametrisation stands here. `torch.nn.utils.parametrizations.orthogonal` makes a
weight that is not square of Householder reflections, with signs on the diagonal of a parameter that
weight decay shrinks: after one step of decay they are no whole numbers, and the weight is 0. Its
other maps work on squares of the larger width, where 3,024 channels of a teacher are dear.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.functional.numerics import without_autocast


def cayley(base: Tensor, moved: Tensor) -> Tensor:
    """Orthonormal columns, turned: ``(I - A/2)^-1 (I + A/2) B`` with ``A = G B' - B G'``.

    A is skew-symmetric, so what turns B is orthogonal whatever G is, and ``G = 0`` leaves B. By its
    low rank only a system of 2 k equations is solved, at O(n k^2), and no matrix is [n, n].

    Shapes:
        base: B, [n, k] with ``B' B = I``, n at least k; moved: G, [n, k]; returns [n, k].

    Paper: Wen and Yin, "A feasible method for optimization with orthogonality constraints", 2013,
        Lemma 4, for the form of low rank.

    >>> turned = cayley(torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [2.0]]))
    >>> turned.T.tolist()
    [[0.0, 1.0]]
    """
    left, right = torch.cat([moved, base], 1), torch.cat([base, -moved], 1)
    unit = torch.eye(left.shape[1], dtype=base.dtype, device=base.device)
    turn: Tensor = torch.linalg.solve(unit - right.T @ left / 2, right.T @ base)
    return base + left @ turn


class OrthogonalProjector(nn.Module):
    """A linear map without bias whose weight is orthonormal at every step: ``P z``.

    To a wider (or equally wide) teacher the columns of P are orthonormal, ``P' P = I``: lengths and
    angles of the student's features stay as they are, so that all that the teacher teaches reaches
    them. To a narrower teacher its rows are, ``P P' = I``, and what is orthogonal to them is lost.

    What learns is ``moved``, G of `cayley`, from 0. ``base`` is drawn (the Q of a Gaussian matrix)
    and stays; both are part of its state. Weight decay draws G to 0, that is P to where it began.
    Everything is in float32 under autocast too.

    Shapes:
        [B, student_dim] -> [B, teacher_dim].

    Args:
        student_dim: width of the student's features.
        teacher_dim: width of the teacher's.

    Paper: Miles et al. 2024 (VkD), arXiv 2403.06213: "VkD: Improving Knowledge Distillation using
        Orthogonal Projections".

    Differs from the authors' code: there it is the parametrisation of PyTorch (see above).

    >>> project = OrthogonalProjector(3, 5)
    >>> bool((project.weight.T @ project.weight - torch.eye(3)).abs().max() < 1e-6)
    True
    """

    base: Tensor

    def __init__(self, student_dim: int, teacher_dim: int) -> None:
        super().__init__()
        self.in_features, self.out_features = student_dim, teacher_dim
        widths = student_dim, teacher_dim
        drawn = torch.empty(max(widths), min(widths)).normal_()
        self.register_buffer("base", torch.linalg.qr(drawn)[0])
        self.moved = nn.Parameter(torch.zeros_like(drawn))

    @property
    def weight(self) -> Tensor:
        """P as it is now, [teacher_dim, student_dim]."""
        with without_autocast(self.base.device):
            tall = cayley(self.base, self.moved)
        return tall if self.in_features <= self.out_features else tall.T

    def forward(self, x: Tensor) -> Tensor:
        """The features at the teacher's width."""
        with without_autocast(x.device):
            return F.linear(x.float(), self.weight)

    def extra_repr(self) -> str:
        """Its widths."""
        return f"in_features={self.in_features}, out_features={self.out_features}"
