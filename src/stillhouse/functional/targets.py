"""Knowledge made of the label alone: formulas on class scores whose target nobody learned."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.errors import RecipeError, nearest
from stillhouse.functional.classes import check_classes

OffTarget = Literal["uniform", "others"]
Form = Literal["paper", "code"]


def smoothed_cross_entropy(
    student: Tensor, label: Tensor, *, smoothing: float = 0.1, off_target: OffTarget = "uniform"
) -> Tensor:
    """Cross-entropy with a smoothed label: ``-sum_c q(c) log softmax(z)_c``.

    ``q(c)`` of K classes, with e the smoothing::

        uniform: 1 - e + e/K on the label, e/K elsewhere
        others:  1 - e       on the label, e/(K-1) elsewhere

    'others' at e is 'uniform' at e K/(K-1): two names of one family of targets.

    Shapes:
        student: [B, C] logits; label: [B] class indices; returns [B], float32, in nats.

    Args:
        student: logits of the learner.
        label: the class that keeps most of the probability.
        smoothing: e in 0..1. 0.1: the LSR baseline of the released Tf-KD code.
        off_target: how e is shared. 'uniform': among all classes, the label too (equation 1 of the
            Tf-KD paper, and torch); 'others': among the other classes (its released code).

    Raises:
        RecipeError: no such off_target.

    Paper: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision",
        arXiv 1512.00567, section 7.

    Differs from the authors' code: not compared. Tf-KD's own baseline is 'others'.

    >>> import torch
    >>> z, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> round(smoothed_cross_entropy(z, y).item(), 4)
    0.2269
    >>> round(smoothed_cross_entropy(z, y, off_target="others").item(), 4)
    0.3269
    """
    _choose("smoothed_cross_entropy", "off_target", off_target, OFF_TARGETS)
    check_classes("smoothed_cross_entropy", student, label=label)
    return _smoothed_cross_entropy(student.float(), label, smoothing, off_target)


def virtual_teacher(label: Tensor, classes: int, *, correct: float = 0.99) -> Tensor:
    """What a teacher would say that is always right: ``p(c) = a if c = y else (1 - a)/(K - 1)``.

    Shapes:
        label: [B] class indices; returns [B, K] probabilities, float32.

    Args:
        label: the class that is right.
        classes: K, at least 2.
        correct: a in 0..1. 0.99: all runs that the paper reports; it asks for a >= 0.9.

    Raises:
        RecipeError: fewer than 2 classes.

    Paper: Yuan et al., "Revisiting Knowledge Distillation via Label Smoothing Regularization",
        arXiv 1909.11723, equation 8.

    Differs from the authors' code: it does not.

    >>> import torch
    >>> [round(p, 3) for p in virtual_teacher(torch.tensor([1]), 3)[0].tolist()]
    [0.005, 0.99, 0.005]
    """
    return _virtual_teacher(label, classes, correct, torch.float32)


def virtual_kl(
    student: Tensor,
    label: Tensor,
    *,
    correct: float = 0.99,
    temperature: float = 20.0,
    form: Form = "paper",
) -> Tensor:
    """Kullback-Leibler divergence from a softened virtual teacher, without T squared.

    ``sum_c p(c) (log p(c) - log q(c))`` with ``p = softmax(virtual_teacher / T)`` and::

        paper: q = softmax(z / T)
        code:  q = softmax(z)

    The paper does not spell out how its probabilities are softened. Its code takes them for logits,
    and so do both forms here: p is nearly uniform (0.0105 on the label at K = 100, T = 20).

    Of the paper form little is left at T = 20: its gradient is about (z - mean z) / (K T^2), a
    faint pull of all logits to their mean (at K = 100 and logits of variance 1, within 11 % and
    4,000 times smaller than that of the cross-entropy). The gradient of the code form is
    ``softmax(z) - p``: label smoothing (see `stillhouse.methods.tf_kd_reg`).

    Shapes:
        student: [B, C] logits; label: [B] class indices; returns [B], float32, in nats.

    Args:
        student: logits of the learner.
        label: the class of which the teacher is sure.
        correct: a of `virtual_teacher`. 0.99: all runs that the paper reports.
        temperature: T > 0. 20.0: the paper (T >= 20) and most of the released settings.
        form: 'paper' (equation 9: both sides softened) or 'code' (only the teacher is).

    Raises:
        RecipeError: no such form, or fewer than 2 classes.

    Paper: Yuan et al., "Revisiting Knowledge Distillation via Label Smoothing Regularization",
        arXiv 1909.11723, equation 9, as printed: without T squared.

    Differs from the authors' code: in both forms a sum over classes; there the mean over examples
        and classes, K times smaller (`stillhouse.methods.tf_kd_reg` divides by K).

    >>> import torch
    >>> z, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> round(virtual_kl(z, y, temperature=1.0, form="code").item(), 4)
    0.0866
    >>> round(1000 * virtual_kl(z, y).item(), 2)
    0.32
    """
    _choose("virtual_kl", "form", form, FORMS)
    check_classes("virtual_kl", student, label=label)
    return _virtual_kl(student.float(), label, correct, temperature, form)


OFF_TARGETS: tuple[str, ...] = get_args(OffTarget)
FORMS: tuple[str, ...] = get_args(Form)


def _choose(who: str, setting: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise RecipeError(who, [f"{setting} is {value!r}; {nearest(str(value), choices)}"])


def _smoothed_cross_entropy(
    student: Tensor, label: Tensor, smoothing: float, off_target: str
) -> Tensor:
    classes = student.shape[1]
    sharing = classes if off_target == "uniform" else max(classes - 1, 1)
    elsewhere = smoothing / sharing
    more = 1 - smoothing if off_target == "uniform" else 1 - smoothing - elsewhere
    log_p = F.log_softmax(student, dim=1)
    return -more * log_p.gather(1, label[:, None])[:, 0] - elsewhere * log_p.sum(1)


def _virtual_teacher(label: Tensor, classes: int, correct: float, dtype: torch.dtype) -> Tensor:
    if classes < 2:
        said = f"classes is {classes}; a virtual teacher tells at least 2 classes apart"
        raise RecipeError("virtual_teacher", [said])
    shape, elsewhere = (len(label), classes), (1 - correct) / (classes - 1)
    flat = torch.full(shape, elsewhere, dtype=dtype, device=label.device)
    return flat.scatter(1, label[:, None], correct)


def _virtual_kl(
    student: Tensor, label: Tensor, correct: float, temperature: float, form: str
) -> Tensor:
    teacher = _virtual_teacher(label, student.shape[1], correct, student.dtype)
    log_p = F.log_softmax(teacher / temperature, dim=1)
    log_q = F.log_softmax(student / temperature if form == "paper" else student, dim=1)
    p, q = log_p.exp(), log_q.exp()
    # q - p adds up to nothing, but cancels what rounding does to both logarithms: p and q are so
    # close at a high temperature that without it three digits of the value are left.
    return (p * (log_p - log_q) + (q - p)).sum(1)
