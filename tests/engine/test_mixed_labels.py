"""Rows with two labels: the loss is that of the mixed label; who cannot take it says so by name."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import facts_of
from stillhouse.engine.objective import Objective
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError
from stillhouse.functional import cross_entropy
from stillhouse.methods import METHODS, cs_kd, kd, kdcl, multi_teacher_kd, plain, simkd, tf_kd_reg
from stillhouse.methods import label_smoothing as smoothing
from stillhouse.methods.method import Method
from stillhouse.models import Ensemble
from stillhouse.tasks import AdjustedClassification, Classification
from stillhouse.testing.contract import positional
from stillhouse.testing.toy import taught, toy_batches, untaught

WEIGHTS = (0.5, 1.0, 2.5)
ONE_CLASS = {"dkd", "nkd", "cs_kd", "ps_kd", "crd", "kdcl", "fgd", "token_kd"}
"""Methods that read the one class of a row elsewhere than in the labelled term."""


@pytest.fixture(scope="module")
def mixed() -> Batches:
    toy = toy_batches()
    return replace(toy, augment=replace(toy.augment, mixup=1.0, cutmix=1.0))


def composed(method: Any, batches: Batches, **options: Any) -> Stage:
    there = {"student": untaught(4), "teacher": taught(6), "peers": [untaught(6)]}
    stage = method(*(there[name] for name in positional(method)), **options)
    return stage.completed(facts_of(batches))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_each_method_takes_mixed_labels_or_says_what_to_leave_out(
    method: Method, mixed: Batches
) -> None:
    def opened() -> Objective:
        return Objective(composed(method.build, mixed), mixed.sample())

    if method.name not in ONE_CLASS:
        with opened() as objective:
            update = objective.updates[-1]
            out = update(mixed.sample())
            assert all(value.isfinite() for value in out.terms.values())
        return
    with pytest.raises(WiringError) as caught:
        opened()
    (said,) = caught.value.problems
    assert "leave mixup and cutmix out of data.augment" in said


def test_forms_of_a_method_that_read_no_label_take_mixed_ones(mixed: Batches) -> None:
    for stage in (
        composed(kdcl, mixed, ensemble="mean"),
        multi_teacher_kd(untaught(4), Ensemble([taught(6), taught(4)]), listen="random"),
    ):
        Objective(stage, mixed.sample()).close()
    both = Ensemble([taught(6), taught(4)])
    with pytest.raises(WiringError, match="node 'shares': it is about the one class of a row"):
        Objective(multi_teacher_kd(untaught(4), both, listen="confidence"), mixed.sample())
    with pytest.raises(WiringError, match="node 'anchor_label' and the order of rows"):
        Objective(composed(cs_kd, mixed), mixed.sample())


def soft(batch: dict[str, Tensor], classes: int = 3) -> Tensor:
    lam = batch["batch.lam"].double()[:, None]
    own, other = (F.one_hot(batch[f"batch.{name}"], classes) for name in ("label", "partner_label"))
    return lam * own + (1 - lam) * other


def virtual(batch: dict[str, Tensor], logits: Tensor) -> Tensor:
    """The gradient of the code form to a virtual teacher of the mixed label, in float64."""
    lam, log_q = batch["batch.lam"].double()[:, None], F.log_softmax(logits, 1)
    target = torch.zeros(())
    for name, share in (("label", lam), ("partner_label", 1 - lam)):
        teacher = torch.full_like(logits, 0.01 / 2)
        teacher.scatter_(1, batch[f"batch.{name}"][:, None], 0.99)
        target = target + share * F.softmax(teacher / 20.0, 1)
    return (target * -log_q).sum(1).mean() / 3 * 100 * 0.1 + 0.9 * F.cross_entropy(
        logits, soft(batch)
    )


@pytest.mark.parametrize(
    ("method", "by_hand"),
    [
        (plain, lambda batch, z: F.cross_entropy(z, soft(batch))),
        (smoothing, lambda batch, z: F.cross_entropy(z, soft(batch), label_smoothing=0.1)),
        (tf_kd_reg, virtual),
        (
            lambda net: plain(net).with_task(
                AdjustedClassification(label_smoothing=0.2, class_weights=WEIGHTS)
            ),
            lambda batch, z: F.cross_entropy(
                z,
                soft(batch),
                torch.tensor(WEIGHTS).double(),
                label_smoothing=0.2,
                reduction="none",
            ).mean(),
        ),
    ],
    ids=["plain", "label_smoothing", "tf_kd_reg", "adjusted"],
)
def test_gradients_are_those_of_the_mixed_label(method: Any, by_hand: Any, mixed: Batches) -> None:
    """The reference is torch's cross-entropy of probabilities."""
    batch, logits = mixed.sample(8), torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    given = nn.Parameter(logits)

    class Says(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.z = given

        def forward(self, image: Tensor) -> Tensor:
            return self.z[: len(image)]

    with Objective(method(Says()), batch) as objective:
        objective(batch).loss.backward()
    reference = logits.double().requires_grad_()
    by_hand(batch, reference).backward()
    torch.testing.assert_close(given.grad.double(), reference.grad, rtol=1e-5, atol=1e-7)


def test_ones_own_loop_gives_both_labels() -> None:
    student, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
    images, labels = torch.randn(6, 4), torch.arange(6) % 3
    other, lam = labels.flip(0), torch.full((6,), 0.25)
    with kd(student, teacher).open(images, labels, partner_label=other, lam=lam) as objective:
        out = objective(images, labels, partner_label=other, lam=lam)
    z = student(images)
    wanted = 0.25 * F.cross_entropy(z, labels) + 0.75 * F.cross_entropy(z, other)
    assert out.terms["label"].item() == pytest.approx(wanted.item(), rel=1e-6)
    with pytest.raises(
        WiringError, match="holds label, partner_label, lam, and 'lam' is not there"
    ):
        kd(student, teacher).open(images, labels, partner_label=other)


def test_images_without_labels_are_mixed_alone(mixed: Batches) -> None:
    shown = {k: v for k, v in mixed.sample().items() if "label" not in k}
    assert "batch.lam" in shown
    with Objective(composed(simkd, mixed), shown) as objective:
        assert objective(shown).loss.isfinite()
    with pytest.raises(WiringError, match=r"term 'label' reads 'batch\.label'"):
        Objective(plain(untaught(4)), shown)


def test_a_task_or_term_that_does_not_say_so_takes_one_label(mixed: Batches) -> None:
    class Ranked(Classification):
        name, mixes = "ranked", False

    with pytest.raises(WiringError, match="the task 'ranked' has a loss of one label a row"):
        Objective(plain(untaught(4)).with_task(Ranked()), mixed.sample())
    own = Term("own", cross_entropy, ["student.logits", "batch.label"])
    stage = plain(untaught(4))
    stage = replace(stage, updates=[replace(stage.updates[0], terms=[own])])
    with pytest.raises(WiringError, match="term 'own': it is about the one class"):
        Objective(stage, mixed.sample())
    own.mixes = True
    Objective(stage, mixed.sample()).close()
