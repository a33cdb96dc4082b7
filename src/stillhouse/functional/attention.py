"""Where a map is active, and in which patterns: formulas on maps, one value per example.

The widths of the two maps may differ, their positions may not: resize one of them first.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.errors import RecipeError, nearest
from stillhouse.functional.numerics import bounded, without_autocast

Form = Literal["maps", "whole"]
FORMS = get_args(Form)  # outside of what torch compiles: not all versions can look inside


def attention_gap(student: Tensor, teacher: Tensor, *, power: float = 2.0) -> Tensor:
    """Attention maps are as the teacher's: ``mean_n (q_s(n) / |q_s| - q_t(n) / |q_t|)^2``.

    ``q(n) = mean_c |x(c, n)|^power``, the attention at position n; its length ``|q|`` is over all
    positions.

    Shapes:
        student, teacher: [B, C, H, W] maps, each of its own C (or [B, C, ...], all positions after
            C); returns [B], float32.

    Args:
        student, teacher: maps of one size.
        power: above 0; larger ones look at the strongest channels. 2.0: the benchmark of CRD.

    Paper: Zagoruyko & Komodakis, "Paying More Attention to Attention", arXiv 1612.03928.

    Differs from the authors' code: it does not, nor from the benchmark of CRD, whose weight is
        1000: both take the mean over positions, where the paper has half the sum.

    >>> x = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 2.0]]]])
    >>> attention_gap(*x).item()
    1.0
    """
    mine, theirs = (F.normalize(_attention(x, power), dim=1) for x in (student, teacher))
    return (mine - theirs).square().mean(1)


def selectivity_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """Channels are selective in the patterns of the teacher's: an MMD of the kernel ``(x . y)^2``.

    ``mean_ij (s_i . s_j)^2 + mean_ij (t_i . t_j)^2 - 2 mean_ij (s_i . t_j)^2`` of one example, with
    s_i and t_j its channels, each a vector over positions of length 1. Channels need not match one
    to one.

    Shapes:
        student, teacher: [B, C, H, W] maps, each of its own C (or [B, C, ...], all positions after
            C); returns [B], float32. Memory is of channels times channels or positions times
            positions, whichever is less.

    Paper: Huang & Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer",
        arXiv 1707.01219.

    Differs from the authors' code: not compared. The value is that of the benchmark of CRD, which
        holds all pairs of channels times positions.

    >>> x = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]), torch.tensor([[[0.0, 5.0]]])
    >>> selectivity_gap(*x).item()
    2.0
    """
    mine, theirs = (F.normalize(_by_position(x), dim=2) for x in (student, teacher))
    with without_autocast(mine.device):
        return _selectivity_gap(mine, theirs)


def factor_gap(student: Tensor, teacher: Tensor, *, form: Form = "maps") -> Tensor:
    """Factors of unit length are as the teacher's: ``mean |f_s / |f_s| - f_t / |f_t||``.

    maps: f is the map of `attention_gap` at power 2, ``mean_c x(c, n)^2``, and the mean is over
    positions. whole: f is the factor itself, and the mean is over all its elements.

    Shapes:
        student, teacher: [B, C, H, W] factors of one size (or [B, C, ...]), of one C too for
            'whole'; returns [B], float32.

    Args:
        student, teacher: what a translator and a paraphraser give.
        form: 'maps': the benchmark of CRD; 'whole': the paper. Their sizes differ, so do their
            weights.

    Raises:
        RecipeError: no such form.

    Paper: Kim, Park & Kwak, "Paraphrasing Complex Network: Network Compression via Factor
        Transfer", arXiv 1802.04977, with p = 1.

    Differs from the authors' code: not compared.

    >>> x = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 2.0]]])
    >>> factor_gap(*x).item()
    1.0
    """
    if form not in FORMS:
        said = f"form is '{form}'; {nearest(form, FORMS)}"
        raise RecipeError("loss 'factor_gap'", [said])
    if form == "maps":
        flat = [_attention(x, 2.0) for x in (student, teacher)]
    else:
        flat = [x.float().flatten(1) for x in (student, teacher)]
    mine, theirs = (F.normalize(x, dim=1) for x in flat)
    return (mine - theirs).abs().mean(1)


def _by_position(x: Tensor) -> Tensor:
    """[B, C, positions], float32."""
    return x.float().reshape(*x.shape[:2], -1)


def _attention(x: Tensor, power: float) -> Tensor:
    """[B, positions]"""
    return _by_position(x).abs().pow(power).mean(1)


def _selectivity_gap(mine: Tensor, theirs: Tensor) -> Tensor:
    (wide_s, size), wide_t = mine.shape[1:], theirs.shape[1]
    if 2 * size * size <= wide_s * wide_s + wide_t * wide_t + wide_s * wide_t:
        # sum_ij (s_i . s_j)^2 = |S S^T|^2 = |S^T S|^2: the MMD is one distance of two matrices.
        return (mine.mT @ mine / wide_s - theirs.mT @ theirs / wide_t).square().sum((1, 2))
    own, target = _mean_square(mine, mine), _mean_square(theirs, theirs)
    return bounded(own + target - 2 * _mean_square(mine, theirs), low=0.0)


def _mean_square(a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b.mT).square().mean((1, 2))
