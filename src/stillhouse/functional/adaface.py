"""AdaFace: a margin that follows the quality of an image, told by the length of its embedding."""

import torch
from torch import Tensor

from stillhouse.functional.classes import check_classes
from stillhouse.functional.margin_heads import angle_of, cos_within, with_margin
from stillhouse.functional.numerics import full

LENGTHS = 1e-3, 100.0
"""Lengths of embeddings are cut to these; the authors' code."""
TINY = 1e-3
"""Beside the deviation; the authors' code."""


def adaface(
    cosine: Tensor, label: Tensor, quality: Tensor, *, scale: float = 64.0, margin: float = 0.4
) -> Tensor:
    """Logits whose margin follows the quality of the image, in -1..1.

    ``s (cos(clip(theta_iy - m h_i, e, pi - e)) - (m + m h_i))`` for the own class, ``s c_ik`` else:
    a good image (h = 1) gets a smaller angular and a larger additive margin, a bad one (h = -1) an
    angular one alone, as ArcFace; at h = 0 it is CosFace.

    Shapes:
        cosine: [B, K], of `cosines`; label: [B], class indices or -1; quality: [B], of
        `norm_quality`; returns [B, K].

    Args:
        cosine: of each row with each class.
        label: the own class.
        quality: h of each row.
        scale: s > 0. 64.0: the authors' code.
        margin: m. 0.4: the authors' code.

    Paper: Kim et al., "AdaFace: Quality Adaptive Margin for Face Recognition", arXiv 2204.00964.

    Differs from the authors' code: it cuts all cosines 1e-3 inside -1 and 1, here only the own one
        is cut, 1e-7 inside; and e is 1e-3 there, 1e-4 here.

    >>> logits = adaface(torch.tensor([[0.5, -0.25]]), torch.tensor([0]), torch.tensor([1.0]))
    >>> [round(z, 4) for z in logits[0].tolist()]  # 64 (cos(1.0472 - 0.4) - 0.8)
    [-0.1423, -16.0]
    """
    check_classes("adaface", cosine, label=label)
    by = margin * quality.detach().to(full(cosine))
    return with_margin(
        cosine, label, lambda own: cos_within(angle_of(own) - by) - (margin + by), scale
    )


def norm_quality(
    embedding: Tensor,
    mean: Tensor | float,
    deviation: Tensor | float,
    *,
    concentration: float = 0.333,
) -> Tensor:
    """How good an image is, by the length of its embedding: ``clip(h (|z| - mu) / sd, -1, 1)``.

    No gradient goes through it.

    Shapes:
        embedding: [B, D] before it is normalised; returns [B], float32.

    Args:
        embedding: of each row.
        mean, deviation: mu and sd of the lengths: of this batch, or moving averages of them.
        concentration: h. 0.333: the authors' code.

    Paper: Kim et al., "AdaFace: Quality Adaptive Margin for Face Recognition", arXiv 2204.00964.

    Differs from the authors' code: mu and sd are given; there they are buffers of the head, 20 and
        100 at the start, which in its default setting are replaced by those of each batch.

    >>> norm_quality(torch.tensor([[0.0, 9.0], [0.0, 3.0]]), 6.0, 3.0).round(decimals=3).tolist()
    [0.333..., -0.333...]
    """
    length = torch.linalg.vector_norm(embedding.detach().float(), dim=1).clamp(*LENGTHS)
    quality: Tensor = concentration * (length - mean) / (deviation + TINY)
    return quality.clamp(-1.0, 1.0)
