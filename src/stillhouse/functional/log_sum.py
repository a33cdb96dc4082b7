"""LogSum: the logarithm of a sum of powers, over the whole batch; one value per batch, [].

Two published losses bear this name. They are no rescaling of each other, hence two names here:
`log_sum` looks at elements, `log_correlation` at one correlation per dimension.
"""

from torch import Tensor

from stillhouse.functional.classes import gap


def log_sum(student: Tensor, teacher: Tensor, *, alpha: float = 4.0, eps: float = 1e-5) -> Tensor:
    """Logarithm of a sum of powers: ``ln(sum_{b,d} |s_bd - t_bd|^alpha + eps)``, smallest at s = t.

    The gradient of an element is ``alpha |u|^(alpha-1) sign(u) / sum |u|^alpha``: it does not see
    how large all gaps are together, and a larger alpha gives more of it to the worst elements. The
    value is negative once the sum is below 1. A sum over a batch that was cut in two is not the
    sum of two logarithms: processes and micro-batches do not see each other.

    Shapes:
        student, teacher: [B, ...] of equal shape; returns [], float32.

    Args:
        student: features of the learner, projected and normalised.
        teacher: features of the teacher, normalised.
        alpha: power, at least 1. 4.0: the released code.
        eps: inside the logarithm, above 0: value and gradient stay finite at an exact match. 1e-5:
            what the released code adds in its correlation form; of a sum over a batch it is no
            digit before features nearly agree (alpha 4, 512 x 256 elements: gaps below 0.003).

    Paper: "Understanding the Role of the Projector in Knowledge Distillation", arXiv 2303.11098,
        the LogSum distance.

    Differs from the authors' code: eps, which this form has not there. A sum or a mean inside the
        logarithm is the same up to a constant.

    >>> import torch
    >>> s, t = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    >>> round(log_sum(s, t).item(), 4)
    2.8332
    """
    return _log_of_powers(gap(student, teacher), alpha, eps)


def log_correlation(
    student: Tensor, teacher: Tensor, *, power: float = 4.0, eps: float = 1e-5
) -> Tensor:
    """LogSum of what each dimension lacks to full correlation: ``ln(sum_j |c_j - 1|^power + eps)``.

    ``c_j = (1/B) sum_b s_bj t_bj``, which is a correlation when both sides are batch-normalised
    (mean 0, variance 1 over the batch); without that it has no meaning. Then the mean squared gap
    of a dimension is ``2 (1 - c_j)``: this is a LogSum over dimensions of squared errors, not over
    elements as `log_sum` is. Uncorrelated features give ln(D). It is not 0 where both sides agree:
    all correlations at 1 give ln(eps).

    Shapes:
        student, teacher: [B, D], batch-normalised; returns [], float32.

    Args:
        student: features of the learner, projected and batch-normalised.
        teacher: features of the teacher, batch-normalised.
        power: at least 1. 4.0: the released code.
        eps: inside the logarithm. 1e-5: the same.

    Paper: "Understanding the Role of the Projector in Knowledge Distillation", arXiv 2303.11098;
        this form is in the released code only (its DeiT part and its first ImageNet release).

    Differs from the authors' code: none of the DeiT part; the first ImageNet release has no eps.
        The ancestor (ITRD) takes the logarithm to base 2.

    >>> import torch
    >>> s, t = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> round(log_correlation(s, t).item(), 4)
    2.7726
    """
    correlations = (student.float() * teacher.float()).mean(0)
    return _log_of_powers(correlations - 1.0, power, eps)


def _log_of_powers(gaps: Tensor, power: float, eps: float) -> Tensor:
    """In units of the largest gap where that is above 1, or powers of it leave float32.

    The unit cancels from the value for whatever it is, so it is held constant in the gradient.
    """
    sizes = gaps.abs()
    unit = sizes.detach().amax().clamp(min=1.0)
    total = (sizes / unit).pow(power).sum() + eps * unit.pow(-power)
    return total.log() + power * unit.log()
