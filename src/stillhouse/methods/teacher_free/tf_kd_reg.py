"""Tf-KD_reg: a virtual teacher that is always right; and the label smoothing that it amounts to."""

import math
from typing import Annotated, Literal

from annotated_types import Ge
from torch import Tensor, nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError
from stillhouse.functional import virtual_kl
from stillhouse.methods.roles import label_term
from stillhouse.methods.settings import Positive, Share, Weight, checked

MULTIPLIER = 100.0
"""Of the code form; the paper form has none."""

Classes = Annotated[int, Ge(2)]


@checked
def tf_kd_reg(
    student: nn.Module,
    *,
    form: Literal["code", "paper"] = "code",
    alpha: Share = 0.1,
    multiplier: Weight = MULTIPLIER,
    temperature: Positive = 20.0,
    correct: Share = 0.99,
) -> Stage:
    """Teacher-free regularisation: a made-up teacher, sure of the label, in place of a network.

    With ``p = softmax(virtual_teacher / T)`` and K classes, as many as the student has logits::

        code:  (1 - alpha) CE(p_s, y) + alpha * multiplier / K * KL(p, p_s)
        paper: (1 - alpha) CE(p_s, y) + alpha * KL(p, p_s^T)

    The code form is label smoothing on a scaled loss: their gradients are equal, not just close,
    for the scale and the smoothing that `equivalent_smoothing` gives. Compare it with that control
    (`label_smoothing`) before you call a gain the virtual teacher's. The paper form lacks T
    squared, as printed: at T = 20 it is the cross-entropy times 1 - alpha, and very little more.

    Args:
        student: the learner; any classifier.
        form: 'code' (the default: what was run for CIFAR-100) or 'paper' (equation 9; the author
            says that ImageNet and Tiny-ImageNet ran with both sides softened; the losses for
            ImageNet were not released).
        alpha: weight of the KL; the labels get 1 - alpha. 0.1: the released ResNet18, like
            multiplier and temperature. Of the released settings these keep the size of the loss
            (scale 1.00); those of MobileNetV2 and ShuffleNetV2 (0.95, multiplier 1) shrink it 17
            times, which is a change of the learning rate against the weight decay. In the paper
            form 0.1 with T = 20 is its ImageNet setting.
        multiplier: of the KL, in the code form only. 100.0, made for K = 100: there it undoes the
            mean over classes. With 10 classes it makes the KL outweigh the labels; use K.
        temperature: T > 0. 20.0: the paper asks for 20 or more; 10 and 40 were released too.
        correct: what the virtual teacher gives the label. 0.99: all runs of the paper.

    Returns:
        A stage that keeps the student.

    Raises:
        RecipeError: a setting is out of its range, no such form, or a multiplier in the paper form.

    Paper: Yuan et al. 2020, arXiv 1909.11723: "Revisiting Knowledge Distillation via Label
        Smoothing Regularization", equations 8 and 9.

    Differs from the authors' code: in the code form it does not; the paper form is not theirs.

    >>> stage = tf_kd_reg(nn.Linear(4, 2), alpha=0.5, multiplier=2.0)
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 0.5), ('virtual', 1.0)]
    """
    if form == "paper" and multiplier != MULTIPLIER:
        said = f"multiplier is {multiplier}, but the paper form has none"
        raise RecipeError("method 'tf_kd_reg'", [f"{said}; leave it out, or use form 'code'"])
    soft = {"temperature": temperature, "correct": correct}
    reads = ["student.logits", "batch.label"]
    weight = alpha * multiplier if form == "code" else alpha
    loss = virtual_kl_mean if form == "code" else virtual_kl  # of which 'paper' is the default
    terms = [
        label_term(1 - alpha),
        # Its entropy is the same for each label, so that all that varies is linear in the label.
        Term("virtual", loss, reads, weight=weight, options=soft, mixes=True),
    ]
    return Stage(
        "tf_kd_reg",
        nodes=[Role("student", student)],
        updates=[Update("student", terms)],
    )


def virtual_kl_mean(
    student: Tensor, label: Tensor, *, correct: float = 0.99, temperature: float = 20.0
) -> Tensor:
    """The code form as it was reduced: ``virtual_kl / K``, the mean over classes made explicit.

    A weight is a number that is known before any network runs, and K is a shape: so the division
    stands here, beside the formula.

    Shapes:
        student: [B, K] logits; label: [B] class indices; returns [B], float32.

    >>> import torch
    >>> z, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> round(virtual_kl_mean(z, y, temperature=1.0).item(), 4)
    0.0433
    """
    value = virtual_kl(student, label, correct=correct, temperature=temperature, form="code")
    return value / student.shape[1]


@checked
def equivalent_smoothing(
    *,
    classes: Classes,
    alpha: Share = 0.1,
    multiplier: Weight = MULTIPLIER,
    temperature: Positive = 20.0,
    correct: Share = 0.99,
) -> tuple[float, float]:
    """The label smoothing whose gradient is that of `tf_kd_reg` in its code form.

    With ``w = alpha * multiplier / K`` and r what the softened virtual teacher gives the label::

        scale     = 1 - alpha + w
        smoothing = w / scale * (1 - r) K/(K-1)      r = 1 / (1 + (K-1) exp(-d / T)),
                                                     d = correct - (1 - correct)/(K-1)

    Since d/dz of the code form is ``scale * (softmax(z) - q)`` with q of two values, one for the
    label and one for all others, this is exact: the losses differ by a constant. As r is nearly
    1/K, smoothing is nearly w / scale; with that value the gradients of the released settings
    still agree to 2e-4 of their length, for a student that knows nothing yet.

    Args:
        classes: K, at least 2.
        alpha, multiplier, temperature, correct: as in `tf_kd_reg`.

    Returns:
        scale and smoothing: the ``label_weight`` and ``smoothing`` of
        ``label_smoothing(off_target="uniform")``. For 'others' multiply smoothing by (K-1)/K.

    Raises:
        RecipeError: a setting is out of its range, or all of the loss is switched off.

    The released MobileNetV2 on CIFAR-100 trained with LSR of 0.16 and 0.06 times the loss:

    >>> scale, smoothing = equivalent_smoothing(
    ...     classes=100, alpha=0.95, multiplier=1.0, temperature=40.0
    ... )
    >>> f"{scale:.4f} {smoothing:.3f}"
    '0.0595 0.160'
    """
    weight = alpha * multiplier / classes
    scale = 1 - alpha + weight
    if scale == 0.0:
        said = "alpha is 1 and multiplier 0, so nothing is left of the loss; change either"
        raise RecipeError("equivalent_smoothing", [said])
    apart = correct - (1 - correct) / (classes - 1)
    odds = apart / temperature - math.log(classes - 1)  # of the label, in logarithms
    others = (1 - math.tanh(odds / 2)) / 2  # 1 / (1 + exp(odds)), which may overflow
    return scale, weight / scale * others * classes / (classes - 1)
