"""Feature knowledge: formulas on embeddings and feature maps, one value per example."""

from torch import Tensor


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error over all but the batch dimension: ``mean_d (s_d - t_d)^2``.

    Shapes:
        student, teacher: [B, ...] of equal shape; returns [B], float32.

    Paper: Romero et al., "FitNets: Hints for Thin Deep Nets", arXiv 1412.6550, equation 3, there
        one half of the sum.

    Differs from the authors' code: the mean in place of half the sum, so that a weight means the
        same for maps of any size.

    >>> import torch
    >>> mse(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]])).item()
    2.5
    """
    return (student.float() - teacher.float()).square().flatten(1).mean(1)
