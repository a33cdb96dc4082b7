"""What formulas on class scores share: that there are classes, and classes that are ruled out.

A class whose logit is -inf has probability 0 and counts nothing: ``0 log 0 = 0``, in the value and
in the gradient. What the teacher rules out costs the student nothing; what only the student rules
out costs infinitely much, as it should.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.errors import WiringError


def divergence(student: Tensor, teacher: Tensor, dim: int = 1) -> Tensor:
    """``sum_c p_t(c) (log p_t(c) - log p_s(c))`` of log-probabilities, with ``0 log 0 = 0``.

    >>> inf = float("inf")
    >>> s, t = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.0, -inf, -inf]])
    >>> round(divergence(s, t).item(), 4)
    0.6931
    """
    never = teacher == -torch.inf
    if teacher.requires_grad:  # else no gradient sees it, and two copies are spared
        student, teacher = student.masked_fill(never, 0.0), teacher.masked_fill(never, 0.0)
    each = F.kl_div(student, teacher, reduction="none", log_target=True)
    return each.masked_fill(never, 0.0).sum(dim)


def log_sum_exp(logs: Tensor, dim: int) -> Tensor:
    """`torch.logsumexp`, whose gradient is 0 and not nan where all that is summed is -inf.

    >>> logs = torch.full((1, 2), -torch.inf, requires_grad=True)
    >>> torch.autograd.grad(log_sum_exp(logs, 1).exp().sum(), logs)[0].tolist()
    [[0.0, 0.0]]
    """
    never = (logs == -torch.inf).all(dim, keepdim=True)
    total = torch.logsumexp(logs.masked_fill(never, 0.0), dim)
    return total.masked_fill(never.squeeze(dim), -torch.inf)


def check_classes(
    who: str, student: Tensor, teacher: Tensor | None = None, label: Tensor | None = None
) -> None:
    """Refuse what is no class scores, or no labels of classes.

    Args:
        who: the formula.
        student, teacher: logits, with the classes in dimension 1.
        label: class indices.

    Raises:
        WiringError: there are fewer than two classes, student and teacher tell different numbers of
            them apart, or the labels are no class indices.

    >>> check_classes("kl", torch.zeros(4, 1))
    Traceback (most recent call last):
    ...
    stillhouse.errors.WiringError: kl: it compares classes, and logits [4, 1] tell fewer than two \
apart; a network with one output answers with a number, not with classes
    """
    if student.ndim < 2 or student.shape[1] < 2:
        raise WiringError(who, [
            f"it compares classes, and logits {list(student.shape)} tell fewer than two apart; a "
            "network with one output answers with a number, not with classes"
        ])  # fmt: skip
    if teacher is not None and teacher.shape[-1] != student.shape[-1]:
        raise WiringError(who, [
            f"the student tells {student.shape[-1]} classes apart and the teacher "
            f"{teacher.shape[-1]}; both need the same classes (of a teacher with more, "
            "teacher: {classes: [NAME, ...]} takes those of the data)"
        ])  # fmt: skip
    if label is None:
        return
    whole = label.dtype in (torch.int64, torch.uint8)
    if label.ndim == student.ndim and label.shape[1:] == student.shape[1:]:
        raise WiringError(who, [
            f"labels {list(label.shape)} look one-hot or like probabilities; give class indices, "
            f"int64 [{len(label)}]: label.argmax(1)"
        ])  # fmt: skip
    if not whole:
        remedy = "numbers are no classes" if label.is_floating_point() else "label.long()"
        raise WiringError(who, [
            f"labels are {str(label.dtype).removeprefix('torch.')} {list(label.shape)}; wanted are "
            f"class indices, int64 [{len(label)}] ({remedy})"
        ])  # fmt: skip


def gap(mine: Tensor, theirs: Tensor) -> Tensor:
    """The difference in float32; none where both are the same infinity, as a masked logit is.

    Shapes:
        mine, theirs: of equal shape; returns the same.

    >>> inf = float("inf")
    >>> gap(torch.tensor([[1.0, -inf]]), torch.tensor([[0.5, -inf]])).tolist()
    [[0.5, 0.0]]
    """
    s, t = mine.float(), theirs.float()
    if s.ndim != 2:  # maps: nobody masks them, and a pass over them costs
        return s - t
    both = s.isinf() & (s == t)
    return s.masked_fill(both, 0.0) - t.masked_fill(both, 0.0)
