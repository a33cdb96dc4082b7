"""Margin heads: logits that are scaled cosines, in which the own class has to win by a margin.

With e = z / |z|, w_k = W_k / |W_k| and ``c_ik = e_i . w_k = cos(theta_ik)`` each head changes one
column, that of the label, and scales all of them; the loss is `cross_entropy` of what it gives. The
margin is for training with labels alone: without it (`normalised_softmax`) the same cosines are
what a network answers and what a student is to imitate. A row of label -1 gets no margin.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from stillhouse.errors import WiringError, nearest
from stillhouse.functional.classes import check_classes
from stillhouse.functional.embeddings import directions
from stillhouse.functional.numerics import bounded, full, without_autocast

UNKNOWN = -1
"""The label of a row that gets no margin."""
INSIDE = 1e-7
"""How far inside -1 and 1 a cosine stays before its angle is taken, whose slope is infinite there:
two steps of float32 below 1."""
NEAR = 1e-4
"""How near to 0 and to pi an angle with its margin comes: the angular heads of AdaFace's code."""

Gradient = Literal["exact", "released"]


def cosines(embedding: Tensor, centres: Tensor) -> Tensor:
    """The cosine of each embedding with the centre of each class: ``z.W_k / (|z| |W_k|)``.

    There is no bias. A row of zeros, on either side, has the cosine 0 with everything and a
    gradient that is finite. The centres are whose they are: of a teacher's head, detached, they are
    the head that a student shares.

    Shapes:
        embedding: [B, D]; centres: [K, D], a row for each class; returns [B, K], float32, whatever
        autocast says.

    Raises:
        WiringError: the two have different widths.

    >>> cosines(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.eye(2)).tolist()
    [[0.6..., 0.8...], [0.0, 0.0]]
    """
    if embedding.ndim != 2 or centres.ndim != 2 or embedding.shape[1] != centres.shape[1]:
        raise WiringError("cosines", [
            f"embeddings are {list(embedding.shape)} and centres of classes "
            f"{list(centres.shape)}; give [B, D] and [K, D] (project embeddings of another width)"
        ])  # fmt: skip
    with without_autocast(embedding.device):
        return directions(embedding) @ directions(centres).T


def normalised_softmax(cosine: Tensor, *, scale: float = 20.0) -> Tensor:
    """Logits without a margin: ``s c_ik``.

    Shapes:
        cosine: [B, K], of `cosines`; returns [B, K].

    Args:
        cosine: of each row with each class.
        scale: s > 0, one over a temperature. 20.0: pytorch-metric-learning (its T is 0.05). Few
            classes need less, see `least_scale`.

    Paper: Wang et al., "NormFace: L2 Hypersphere Embedding for Face Verification",
        arXiv 1704.06369; Zhai & Wu, "Classification is a Strong Baseline for Deep Metric Learning",
        arXiv 1811.12649.

    Differs from the authors' code: compared with pytorch-metric-learning alone, from which it does
        not differ.

    >>> normalised_softmax(torch.tensor([[0.5, -0.25]])).tolist()
    [[10.0, -5.0]]
    """
    return scale * full(cosine)


def cosface(cosine: Tensor, label: Tensor, *, scale: float = 64.0, margin: float = 0.35) -> Tensor:
    """Logits with a margin on the cosine: ``s (c_iy - m)`` for the own class, ``s c_ik`` else.

    Shapes:
        cosine: [B, K], of `cosines`; label: [B], class indices or -1; returns [B, K].

    Args:
        cosine: of each row with each class.
        label: the own class.
        scale: s > 0. 64.0: the paper, and the code below; see `least_scale`.
        margin: m, in 0..1. 0.35: pytorch-metric-learning; insightface's configurations say 0.40.

    Paper: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition",
        arXiv 1801.09414.

    Differs from the authors' code: compared with pytorch-metric-learning alone, from which it does
        not differ.

    >>> logits = cosface(torch.tensor([[0.5, -0.25]]), torch.tensor([0]))
    >>> [round(z, 4) for z in logits[0].tolist()]
    [9.6, -16.0]
    """
    check_classes("cosface", cosine, label=label)
    return with_margin(cosine, label, lambda own: own - margin, scale)


def arcface(
    cosine: Tensor,
    label: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.5,
    gradient: Gradient = "exact",
) -> Tensor:
    """Logits with a margin on the angle: ``s cos(min(theta_iy + m, pi))`` for the own class.

    The others stay ``s c_ik``. Beyond pi the cosine would rise again, so the angle is cut there:
    the value is continuous and falls with theta, and where theta > pi - m the own column has no
    (exact) gradient; the other columns still move such a row.

    Shapes:
        cosine: [B, K], of `cosines`; label: [B], class indices or -1; returns [B, K].

    Args:
        cosine: of each row with each class.
        label: the own class.
        scale: s > 0. 64.0: insightface; see `least_scale`.
        margin: m in radians, in 0..pi. 0.5: insightface (pytorch-metric-learning: 28.6 degrees).
        gradient: 'exact', of the formula: ``s sin(theta + m) / sin(theta)`` by the own cosine, up
            to about 1,000 s near theta = 0 (and 0 where the cosine is cut); or 'released', that of
            insightface's code, which adds the margin out of autograd's sight: s for any theta. At
            60 degrees the exact one is 1.15 times the released one.

    Raises:
        WiringError: no such gradient.

    Paper: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
        arXiv 1801.07698.

    Differs from the authors' code: (1) beyond pi, insightface lets the cosine rise again,
        pytorch-metric-learning jumps to ``c - m sin(m)``; we cut, as AdaFace's code does. (2) The
        gradient, see there. (3) The angle of the own class alone is taken, 1e-7 inside -1 and 1.

    >>> logits = arcface(torch.tensor([[0.5, -0.25]]), torch.tensor([0]))
    >>> [round(z, 4) for z in logits[0].tolist()]  # 64 cos(1.0472 + 0.5)
    [1.5102, -16.0]
    """
    check_classes("arcface", cosine, label=label)
    if gradient not in ("exact", "released"):
        known = nearest(str(gradient), ("exact", "released"))
        raise WiringError("arcface", [f"gradient is {gradient!r}; {known}"])

    def rule(own: Tensor) -> Tensor:
        moved = cos_within(angle_of(own) + margin)
        return moved if gradient == "exact" else moved.detach() + (own - own.detach())

    return with_margin(cosine, label, rule, scale)


def least_scale(classes: int, probability: float = 0.99) -> float:
    """The least s at which a network that is as good as can be is so sure: a start for the scale.

    With K centres as far apart as possible, each embedding at its own, the others at cosine
    ``-1 / (K - 1)``, softmax gives the own class P at ``s = (K - 1) / K ln((K - 1) P / (1 - P))``.
    Below it the loss cannot come down; far above it a network that is right stops learning.

    Args:
        classes: K, at least 2.
        probability: P, between 0 and 1.

    Paper: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition",
        arXiv 1801.09414, its lower bound.

    >>> round(least_scale(40), 2), round(least_scale(10_000), 2)
    (8.05, 13.8)
    """
    return (classes - 1) / classes * math.log((classes - 1) * probability / (1 - probability))


def with_margin(
    cosine: Tensor, label: Tensor, rule: Callable[[Tensor], Tensor], scale: float
) -> Tensor:
    """All columns times the scale, that of the label as the rule makes it, where it is known.

    Shapes:
        cosine: [B, K]; label: [B]; the rule: [B] -> [B]; returns [B, K].

    >>> with_margin(torch.tensor([[0.5, 0.0]]), torch.tensor([-1]), torch.neg, 2.0).tolist()
    [[1.0, 0.0]]
    """
    every, unknown = full(cosine), label == UNKNOWN
    at = label.long().masked_fill(unknown, 0)[:, None]
    own = every.gather(1, at)[:, 0]
    moved = torch.where(unknown, own, rule(own))
    return scale * every.scatter(1, at, moved[:, None])


def angle_of(cosine: Tensor) -> Tensor:
    """Its angle, whose gradient is finite at 0 and at pi.

    >>> c = torch.tensor([-1.0, 1.0], requires_grad=True)
    >>> torch.autograd.grad(angle_of(c).sum(), c)[0].tolist()
    [0.0, 0.0]
    """
    return bounded(cosine, INSIDE - 1.0, 1.0 - INSIDE).acos()


def cos_within(angle: Tensor) -> Tensor:
    """Cosine of an angle that is cut at 0 and at pi.

    >>> cos_within(torch.tensor([-1.0, 4.0])).tolist()
    [1.0, -1.0]
    """
    return bounded(angle, NEAR, math.pi - NEAR).cos()
