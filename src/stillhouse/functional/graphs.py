"""Graphs of the examples of a batch: edges, and how they move between layers; one value, []."""

import torch
from torch import Tensor

from stillhouse.functional.chunks import by_anchors


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


def _centred(x: Tensor) -> Tensor:
    """Around the mean, which no distance sees: products of what is left keep their digits."""
    flat = x.flatten(1).float()
    return flat - flat.detach().mean(0)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    # In units of the largest an error of rounding is one of 1e-7, and products of maps are many
    # times faster than differences.
    lengths = a.square().sum(1)[:, None] + b.square().sum(1)
    return (lengths - 2.0 * a @ b.mT).clamp(min=0.0)


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
