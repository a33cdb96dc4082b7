"""How alike two representations of the same samples are: embeddings, heads, ends of a projector.

Pure functions in float64. Rows are samples, in the same order on both sides; samples with more
than one dimension (maps) are flattened.
"""

import torch
from torch import Tensor

from stillhouse.errors import WiringError

STILL = 1e-12
"""A dimension whose deviations are smaller than this share of its length does not vary."""


def linear_cka(a: Tensor, b: Tensor) -> float:
    """Linear centred kernel alignment: ``|A'B|_F^2 / (|A'A|_F |B'B|_F)``, columns centred.

    1 for representations that differ by rotation, scale and shift only; near 0 for unrelated ones
    of many samples (of few it is biased upwards: take many more samples than dimensions). 0.0 where
    one of them does not vary at all.

    Shapes:
        a: [N, ...]; b: [N, ...], each of its own width.

    Raises:
        WiringError: the numbers of samples differ.

    Paper: Kornblith et al., "Similarity of Neural Network Representations Revisited",
        arXiv 1905.00414.

    >>> a = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> round(linear_cka(a, -3.0 * a.flip(1) + 5.0), 6)
    1.0
    """
    a, b = _pair("linear_cka", a, b)
    a, b = _centred(a), _centred(b)
    within = torch.linalg.matrix_norm(a.T @ a) * torch.linalg.matrix_norm(b.T @ b)
    between = torch.linalg.matrix_norm(a.T @ b).square()
    return 0.0 if within == 0 else (between / within).item()


def mean_cosine(a: Tensor, b: Tensor) -> float:
    """Mean over samples of the cosine between two embeddings: ``mean_i a_i.b_i / (|a_i| |b_i|)``.

    It sees whether two models use the same coordinates, which `linear_cka` does not. Vectors of
    zeros have cosine 0.

    Shapes:
        a, b: [N, ...] of equal shape.

    Raises:
        WiringError: the shapes differ.

    >>> a = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    >>> round(mean_cosine(a, torch.tensor([[2.0, 0.0], [1.0, -1.0]])), 6)
    0.5
    """
    a, b = _pair("mean_cosine", a, b)
    return _cosines("mean_cosine", a, b).mean().item()


def mean_correlation(a: Tensor, b: Tensor) -> float:
    """Mean size of the correlation over all pairs of dimensions: ``mean_jk |Pearson(a_j, b_k)|``.

    Between input and output of a projector it says how far the projector decorrelates them. A
    dimension that does not vary correlates with nothing: its pairs count as 0.

    Shapes:
        a: [N, ...]; b: [N, ...], each of its own width.

    Raises:
        WiringError: the numbers of samples differ.

    Paper: "Understanding the Role of the Projector in Knowledge Distillation", arXiv 2303.11098,
        has a measure of this kind; the formula is ours, theirs we do not know.

    >>> a = torch.tensor([[1.0], [2.0], [3.0]])
    >>> round(mean_correlation(a, torch.cat([-a, torch.ones(3, 1)], dim=1)), 6)
    0.5
    """
    a, b = _pair("mean_correlation", a, b)
    a, b = _unit(_centred(a), 0), _unit(_centred(b), 0)
    return (a.T @ b).abs().mean().item()


def head_cosine(w_s: Tensor, w_t: Tensor) -> Tensor:
    """Cosine of the weights of two heads, class by class: ``w_s[c].w_t[c] / (|w_s[c]| |w_t[c]|)``.

    Shapes:
        w_s, w_t: [C, D], one row per class as in ``nn.Linear``; returns [C], float64.

    Raises:
        WiringError: the shapes differ.

    >>> head_cosine(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.eye(2).flip(1)).tolist()
    [0.0, 0.0]
    >>> head_cosine(torch.tensor([[2.0, 0.0]]), torch.tensor([[-1.0, 0.0]])).tolist()
    [-1.0]
    """
    w_s, w_t = _pair("head_cosine", w_s, w_t)
    return _cosines("head_cosine", w_s, w_t)


def _pair(who: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both as rows in float64, off the graph. Raises WiringError when the rows do not match."""
    if len(a) != len(b):
        asked = f"it compares row by row, and one side has {len(a)} rows, the other {len(b)}"
        raise WiringError(who, [f"{asked}; give both for the same samples (or classes)"])
    return a.detach().flatten(1).double(), b.detach().flatten(1).double()


def _cosines(who: str, a: Tensor, b: Tensor) -> Tensor:
    if a.shape[1] != b.shape[1]:
        asked = f"vectors of width {a.shape[1]} and {b.shape[1]} have no cosine"
        raise WiringError(who, [f"{asked}; use linear_cka, which compares any two widths"])
    return (_unit(a, 1) * _unit(b, 1)).sum(1)


def _centred(x: Tensor) -> Tensor:
    """Deviations from the mean of each column; of a column that does not vary, exactly 0."""
    lengths = torch.linalg.vector_norm(x, dim=0)
    moved = x - x.mean(0)
    return moved.masked_fill(torch.linalg.vector_norm(moved, dim=0) <= STILL * lengths, 0.0)


def _unit(x: Tensor, dim: int) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return x / lengths.masked_fill(lengths == 0, 1.0)
