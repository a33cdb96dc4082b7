"""Relational knowledge: distances, angles and edges among examples of a batch; one value, []."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.functional.numerics import bounded, by_anchors

SAME = 1e-12
"""Embeddings nearer than this are one point: no direction leads from one to the other."""


def rkd_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Distances between all pairs, in units of their mean, are as the teacher's.

    ``mean_{i,j} huber(d_s(i, j) - d_t(i, j))``, with ``d(i, j) = |x_i - x_j| / m``, m the mean of
    the distances that are not 0, and ``huber(u) = u^2 / 2`` up to 1, ``|u| - 1/2`` beyond. The mean
    runs over all B^2 pairs; the gradient also flows through m.

    Shapes:
        student, teacher: [B, ...] embeddings, each of its own width; returns [], float32.

    Paper: Park et al., "Relational Knowledge Distillation", arXiv 1904.05068.

    Differs from the authors' code: distances are computed from differences, not from products, so
        that near neighbours keep their digits. Equal embeddings are at distance 0, give no
        gradient and count for the mean in no way (there: 1e-6); where all are equal the loss knows
        no distance of that side but 0 (there: nan).

    >>> import torch
    >>> s, t = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0], [3.0]])
    >>> round(rkd_distance(s, t).item(), 4)
    0.0139
    """
    mine, theirs = student.flatten(1).float(), teacher.flatten(1).float()
    total = by_anchors(
        _distance_gaps,
        mine,
        theirs,
        _mean_distance(mine),
        _mean_distance(theirs),
        width=len(mine) * max(mine.shape[1], theirs.shape[1], 1),
    )
    return total / len(mine) ** 2


def rkd_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Angles of all triangles are as the teacher's.

    ``mean_{i,j,k} huber(c_s(i, j, k) - c_t(i, j, k))``, with c the cosine of the angle at j between
    the ways to i and to k, and ``huber(u) = u^2 / 2`` up to 1, ``|u| - 1/2`` beyond. The mean runs
    over all B^3 triplets, also those of fewer than three examples, which add nothing.

    Shapes:
        student, teacher: [B, ...] embeddings, each of its own width; returns [], float32.
        Memory: B^3 or B^2 D values, whichever is more, up to 16 MiB; beyond that a few examples at
        a time.

    Paper: Park et al., "Relational Knowledge Distillation", arXiv 1904.05068.

    Differs from the authors' code: the same value; between equal embeddings (nearer than 1e-12),
        where there is no angle, the cosine is 0 and the gradient too (there: up to 1e12).

    >>> import torch
    >>> s, t = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0], [-1.0]])
    >>> round(rkd_angle(s, t).item(), 4)
    0.2222
    """
    mine, theirs = student.flatten(1).float(), teacher.flatten(1).float()
    size = len(mine)
    width = size * max(size, mine.shape[1], theirs.shape[1])
    return by_anchors(_angle_gaps, mine, theirs, width=width) / size**3


def edge_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """Edges of the graph of a batch, squared distances in units of the largest, are the teacher's.

    ``mean_ij (e_s(i, j) - e_t(i, j))^2``, with ``e(i, j) = |x_i - x_j|^2 / max_kl |x_k - x_l|^2``.
    Widths may differ; the gradient also flows through the largest distance. `rkd_distance` has
    plain distances in units of their mean, and a Huber loss.

    Shapes:
        student, teacher: [B, ...] maps or embeddings, each of its own shape; returns [], float32.

    Paper: Liu et al., "Knowledge Distillation via Instance Relationship Graph", CVPR 2019.

    Differs from the authors' code: theirs (Caffe) halves the sum and divides it by B, not B^2, and
        holds the largest distance constant. Where all examples are equal the loss knows no
        distance of that side but 0 (there: nan).

    >>> import torch
    >>> s, t = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [2.0], [2.0]])
    >>> round(edge_gap(s, t).item(), 4)
    0.1389
    """
    mine, theirs = _centred(student), _centred(teacher)
    total = by_anchors(
        _edge_gaps,
        mine,
        theirs,
        _largest(mine),
        _largest(theirs),
        width=len(mine),
    )
    return total / len(mine) ** 2


def shift_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """How far examples move between two layers, in units of the largest move, is as the teacher's.

    ``mean_i (u_s(i) - u_t(i))^2``, with ``u(i) = |x_i|^2 / max_k |x_k|^2`` and x the way of an
    example from one layer to a later one, such as `stillhouse.bridges.layer_shift` gives it.
    Widths may differ; the gradient also flows through the largest move.

    Shapes:
        student, teacher: [B, ...] ways, each of its own shape; returns [], float32.

    Paper: Liu et al., "Knowledge Distillation via Instance Relationship Graph", CVPR 2019; the
        edges of its transformation between two graphs.

    Differs from the authors' code: theirs (Caffe) is half the sum, and holds the largest move
        constant. Where nothing moves u is 0 (there: nan).

    >>> import torch
    >>> s, t = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [3.0]])
    >>> round(shift_gap(s, t).item(), 4)
    0.2812
    """
    mine, theirs = (_moves(x.flatten(1).float()) for x in (student, teacher))
    return (mine - theirs).square().mean()


def _distances(anchors: slice, x: Tensor) -> Tensor:
    return torch.cdist(x[anchors], x, compute_mode="donot_use_mm_for_euclid_dist")


def _mean_distance(x: Tensor) -> Tensor:
    """The mean of the distances above 0; 1 where there is none."""
    total, count = by_anchors(_sum_and_count, x, width=x.numel())
    return torch.where(count > 0, total / count.clamp(min=1.0), 1.0)


def _sum_and_count(anchors: slice, x: Tensor) -> Tensor:
    distances = _distances(anchors, x)
    return torch.stack([distances.sum(), (distances > 0).to(distances).sum()])


def _distance_gaps(
    anchors: slice, student: Tensor, teacher: Tensor, unit_s: Tensor, unit_t: Tensor
) -> Tensor:
    mine, theirs = _distances(anchors, student) / unit_s, _distances(anchors, teacher) / unit_t
    return F.smooth_l1_loss(mine, theirs, reduction="sum")


def _angle_gaps(anchors: slice, student: Tensor, teacher: Tensor) -> Tensor:
    mine, theirs = _cosines(anchors, student), _cosines(anchors, teacher)
    return F.smooth_l1_loss(mine, theirs, reduction="sum")


def _cosines(anchors: slice, x: Tensor) -> Tensor:
    """[anchors, B, B]: of the angle at each anchor between the ways to any two examples."""
    ways = x - x[anchors, None]
    lengths = torch.linalg.vector_norm(ways, dim=2, keepdim=True)
    apart = lengths > SAME
    # The length is replaced before it divides: else the gradient of the unused branch is nan.
    directions = ways * torch.where(apart, 1.0 / torch.where(apart, lengths, 1.0), 0.0)
    return directions @ directions.mT


def _centred(x: Tensor) -> Tensor:
    """Around the mean, which no distance sees: products of what is left keep their digits."""
    flat = x.flatten(1).float()
    return flat - flat.detach().mean(0)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    # In units of the largest an error of rounding is one of 1e-7, and products of maps are many
    # times faster than differences.
    lengths = a.square().sum(1)[:, None] + b.square().sum(1)
    return bounded(lengths - 2.0 * a @ b.mT, low=0.0)


def _largest(x: Tensor) -> Tensor:
    """The largest squared distance, as a function of the two examples that it lies between."""
    with torch.no_grad():
        place = _squared(x, x).argmax().reshape(1)
    ends = x.index_select(0, place // len(x)), x.index_select(0, place % len(x))
    largest = (ends[0] - ends[1]).square().sum()
    return torch.where(largest > 0, largest, 1.0)


def _edge_gaps(
    anchors: slice, student: Tensor, teacher: Tensor, unit_s: Tensor, unit_t: Tensor
) -> Tensor:
    mine, theirs = _squared(student[anchors], student), _squared(teacher[anchors], teacher)
    return (mine / unit_s - theirs / unit_t).square().sum()


def _moves(x: Tensor) -> Tensor:
    moves = x.square().sum(1)
    largest = moves.max()
    return moves / torch.where(largest > 0, largest, 1.0)
