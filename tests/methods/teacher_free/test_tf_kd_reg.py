"""Tf-KD_reg: both forms by hand, the label smoothing that it is, and how its code's KD is said."""

import math

import pytest
import torch
import torch.nn.functional as F
from by_hand import same, trained
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.stage import Stage
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError
from stillhouse.functional.targets import _smoothed_cross_entropy, _virtual_kl
from stillhouse.methods import equivalent_smoothing, kd, label_smoothing, tf_kd_reg


def objective(stage: Stage, batch: dict[str, Tensor]) -> Tensor:
    signals = wire(stage, batch).seen
    return sum(term.weight_at(0.0) * term.value(signals) for term in stage.terms())


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp(z / temperature) for z in row]
    return [power / math.fsum(powers) for power in powers]


@pytest.mark.parametrize("form", ["code", "paper"])
def test_the_objective_is_the_published_sum(form: str, train: Batches) -> None:
    """Of three classes: the code form divides by 3 and does not soften the student."""
    student, batch = tiny_net(4, 1).eval(), train.sample(8)
    given = {"multiplier": 7.0} if form == "code" else {}
    stage = tf_kd_reg(student, form=form, alpha=0.3, temperature=2.0, correct=0.9, **given)
    with torch.no_grad():
        rows = student(batch["batch.image"]).tolist()
    total, weight = 0.0, 0.3 * 7.0 / 3 if form == "code" else 0.3
    for z, y in zip(rows, batch["batch.label"].tolist(), strict=True):
        p = softmax([0.9 if c == y else 0.05 for c in range(3)], 2.0)
        q = softmax(z, 1.0 if form == "code" else 2.0)
        total -= 0.7 * math.log(softmax(z)[y])
        total += weight * math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert objective(stage, batch).item() == pytest.approx(total / len(rows), rel=1e-5)


def test_at_its_defaults_it_is_label_smoothing_of_a_tenth() -> None:
    assert equivalent_smoothing(classes=100) == pytest.approx((1.0, 0.1), rel=1e-3)


def test_the_number_of_classes_is_that_of_the_students_logits() -> None:
    """At the defaults and K = 100 the KL has the weight 0.1; with 10 classes it has 1.0."""
    for classes, weight in [(100, 0.1), (10, 1.0)]:
        z, label = torch.randn(4, classes), torch.arange(4)
        _, virtual = tf_kd_reg(nn.Linear(2, classes)).terms()
        value = virtual.value({"student.logits": z, "batch.label": label})
        whole = _virtual_kl(z, label, 0.99, 20.0, "code").mean()
        torch.testing.assert_close(virtual.weight * value, weight * whole)


RELEASED = {
    "MobileNetV2": (0.95, 40.0, 1.0, "0.0595", "0.160"),
    "ShuffleNetV2": (0.95, 10.0, 1.0, "0.0595", "0.160"),
    "ResNet18": (0.1, 20.0, 100.0, "1.0000", "0.100"),
    "GoogLeNet": (0.1, 40.0, 50.0, "0.9500", "0.053"),
}
"""Settings of the released runs (alpha, T, multiplier; K = 100), total scale, equivalent LSR."""


def gradients(name: str, smoothing: float | None, off_target: str) -> tuple[Tensor, Tensor]:
    """Of the released loss and of label smoothing, in float64, at random logits."""
    alpha, temperature, multiplier, *_ = RELEASED[name]
    made = torch.Generator().manual_seed(0)
    z = torch.randn(64, 100, generator=made, dtype=torch.float64).requires_grad_()
    label = torch.arange(64)
    given = {"alpha": alpha, "temperature": temperature, "multiplier": multiplier}
    scale, exact = equivalent_smoothing(classes=100, **given)
    if off_target == "others":
        exact *= 99 / 100
    hard = F.cross_entropy(z, label, reduction="none")
    soft = _virtual_kl(z, label, 0.99, temperature, "code")
    released = (1 - alpha) * hard + alpha * multiplier / 100 * soft
    chosen = exact if smoothing is None else smoothing
    control = scale * _smoothed_cross_entropy(z, label, chosen, off_target)
    (one,), (other,) = (torch.autograd.grad(x.sum(), z) for x in (released, control))
    return one, other


def relative(pair: tuple[Tensor, Tensor]) -> float:
    return ((pair[1] - pair[0]).norm() / pair[0].norm()).item()


@pytest.mark.parametrize("name", RELEASED)
def test_the_released_form_is_label_smoothing_on_a_scaled_loss(name: str) -> None:
    """Exactly, in either convention; with the simple smoothing w / scale, only in 'uniform'."""
    alpha, temperature, multiplier, scale_said, smoothing_said = RELEASED[name]
    scale, smoothing = equivalent_smoothing(
        classes=100, alpha=alpha, multiplier=multiplier, temperature=temperature
    )
    assert f"{scale:.4f}" == scale_said
    assert relative(gradients(name, None, "uniform")) < 1e-14
    assert relative(gradients(name, None, "others")) < 1e-14
    simple = alpha * multiplier / 100 / scale
    assert f"{simple:.3f}" == smoothing_said
    assert smoothing == pytest.approx(simple, rel=1.1e-3)
    assert relative(gradients(name, simple, "uniform")) <= 2e-4
    assert 5e-4 < relative(gradients(name, simple, "others")) < 3e-3


@pytest.mark.parametrize("correct", [0.5, 0.99, 1.0])
@pytest.mark.parametrize("temperature", [1e-3, 0.5, 20.0])
def test_the_equivalence_holds_for_any_settings(temperature: float, correct: float) -> None:
    given = {"alpha": 0.4, "multiplier": 6.0, "temperature": temperature, "correct": correct}
    scale, smoothing = equivalent_smoothing(classes=4, **given)
    z, label = torch.randn(9, 4, dtype=torch.float64).requires_grad_(), torch.arange(9) % 4
    released = 0.6 * F.cross_entropy(z, label, reduction="none")
    released += 0.6 * _virtual_kl(z, label, correct, temperature, "code")
    control = scale * _smoothed_cross_entropy(z, label, smoothing, "uniform")
    (one,), (other,) = (torch.autograd.grad(x.sum(), z) for x in (released, control))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(released - control, (released - control)[:1].expand(9))


def test_the_control_trains_the_same_student(train: Batches) -> None:
    mine, theirs = tiny_net(4, 1, dropout=0.3), tiny_net(4, 1, dropout=0.3)
    given = {"alpha": 0.4, "multiplier": 3.0, "temperature": 5.0}
    scale, smoothing = equivalent_smoothing(classes=3, **given)
    trained(tf_kd_reg(mine, **given), train)
    trained(label_smoothing(theirs, smoothing=smoothing, label_weight=scale), train)
    same(mine, theirs, 1e-6, 1e-4)


@pytest.mark.parametrize(
    ("alpha", "temperature", "multiplier", "effective"),
    [(0.95, 20, 1, 3.8), (0.6, 20, 1, 2.4), (0.95, 6, 1, 0.34), (0.9, 20, 1, 3.6),
     (0.95, 6, 50, 17.1), (0.4, 20, 50, 80), (0.9, 20, 50, 180), (0.9, 20, 100, 360)],
)  # fmt: skip
def test_kd_says_the_released_kd_with_another_weight(
    alpha: float, temperature: float, multiplier: float, effective: float
) -> None:
    """Released: (1 - a) CE + a T^2 m mean over examples and classes. `kd` has T^2 inside, so its
    weight is a m / K."""
    made = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(8, 100, generator=made) for _ in range(2))
    label, weight = torch.arange(8), alpha * multiplier / 100
    nets = nn.Linear(2, 100), nn.Linear(2, 100)
    stage = kd(*nets, temperature=temperature, weight=weight, label_weight=1 - alpha)
    signals = {"student.logits": student, "teacher.logits": teacher, "batch.label": label}
    value = sum(term.weight * term.value(signals) for term in stage.terms())
    soft = F.kl_div(
        F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1),
        reduction="none",
    )  # fmt: skip
    wanted = (1 - alpha) * F.cross_entropy(student, label)
    wanted += alpha * temperature**2 * multiplier * soft.mean()
    torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-6)
    assert weight * temperature**2 == pytest.approx(effective, rel=0.01)


def test_the_paper_form_has_no_multiplier() -> None:
    with pytest.raises(RecipeError, match=r"multiplier is 50.0, but the paper form has none"):
        tf_kd_reg(tiny_net(), form="paper", multiplier=50.0)
    tf_kd_reg(tiny_net(), form="paper", multiplier=100.0)


def test_no_equivalent_of_nothing() -> None:
    with pytest.raises(RecipeError, match="nothing is left of the loss; change either"):
        equivalent_smoothing(classes=10, alpha=1.0, multiplier=0.0)
    with pytest.raises(RecipeError, match="classes is 1; it must be at least 2"):
        equivalent_smoothing(classes=1)
