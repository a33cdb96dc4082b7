"""Maps compared channel by channel: where each is active (CWD), how it rises and falls (PKD)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.errors import WiringError

LEAST = 1e-6
"""Added to a standard deviation: a channel that does not vary stays 0."""


def channel_kl(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Where each channel is active: ``T^2 / C * sum_c KL(p_t(c) || p_s(c))``.

    ``p(c) = softmax_i(x(c, i) / T)`` over the positions i of a channel.

    Shapes:
        student, teacher: [B, C, H, W] of equal shape; returns [B], float32.

    Args:
        student: the map that learns.
        teacher: the map of the teacher.
        temperature: T > 0. 1.0: the authors' settings for detectors; 4.0 for logits of
            segmentation.

    Paper: Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", arXiv 2011.13256.

    Differs from the authors' code: logarithms of the softmax, which stay finite, in place of the
        softmax and its logarithm.

    >>> import torch
    >>> s, t = torch.tensor([[[[0.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    >>> round(channel_kl(s, t).item(), 4)
    0.1109
    """
    _check("channel_kl", student, teacher)
    mine, theirs = (
        F.log_softmax(x.float().flatten(2) / temperature, dim=2) for x in (student, teacher)
    )
    each = (theirs.exp() * (theirs - mine)).sum(2)
    return temperature**2 * each.mean(1)


def pearson_map_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """How each channel rises and falls over images and positions: ``mean (n(s) - n(t))^2 / 2``.

    ``n(x) = (x - mean_c) / (std_c + 1e-6)``, mean and std (unbiased) of a channel over the batch
    and all positions; it is ``1 - r`` averaged over channels, r Pearson's correlation, times
    (n - 1) / n of n = B H W values. Scale and mean of a channel are free, so any two pyramids
    compare. Processes and micro-batches do not see each other.

    Shapes:
        student, teacher: [B, C, H, W] of equal shape; returns [], float32.

    Args:
        student: the map that learns.
        teacher: the map of the teacher.

    Paper: Cao et al., "PKD: General Distillation Framework for Object Detectors via Pearson
        Correlation Coefficient", arXiv 2207.02039.

    Differs from the authors' code: nothing.

    >>> import torch
    >>> x = torch.tensor([[[[0.0, 1.0, 2.0, 4.0]]]])
    >>> round(pearson_map_gap(x, -3 * x + 1).item(), 4)
    1.5
    """
    _check("pearson_map_gap", student, teacher)
    mine, theirs = (_standardised(x.float()) for x in (student, teacher))
    return (mine - theirs).square().mean() / 2


def _standardised(x: Tensor) -> Tensor:
    rows = x.transpose(0, 1).flatten(1)
    middle = rows.mean(1, keepdim=True)
    centred = rows - middle
    spread = (centred.square().sum(1, keepdim=True) / max(rows.shape[1] - 1, 1)).clamp(min=0)
    # The root of 0 has no slope: a channel that does not vary gives 0 and no gradient.
    safe = torch.where(spread > 0, spread, torch.ones_like(spread)).sqrt()
    return centred / (torch.where(spread > 0, safe, torch.zeros_like(safe)) + LEAST)


def _check(name: str, student: Tensor, teacher: Tensor) -> None:
    if student.ndim != 4 or student.shape != teacher.shape:
        shapes = f"{list(student.shape)} and {list(teacher.shape)}"
        said = f"compares maps [B, C, H, W] of one shape; these are {shapes}"
        raise WiringError(name, [f"{said}: bring them to one width and size first"])
