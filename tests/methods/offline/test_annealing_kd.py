"""Annealing KD: the published two stages by hand, the growing of Phi, its limits."""

import copy

import pytest
import torch
import torch.nn.functional as F
from logit_loop import EPOCHS, by_hand, close, settings
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.errors import RecipeError
from stillhouse.methods import annealing_kd, logits_mse, plain
from stillhouse.methods.offline.annealing_kd import annealing


def test_it_ends_as_the_published_loop(train: Batches, platform: Platform) -> None:
    """Of three epochs two with the teacher: Phi z_t itself is the target there, no split."""
    mine, teacher = tiny_net(4, 1), tiny_net(6, 2)
    theirs = copy.deepcopy(mine)
    stage = annealing_kd(mine, teacher, steps=4, first=2 / 3, weight=1.5, label_weight=0.5)
    fit(stage, train, settings=settings(), platform=platform)
    seen = []

    def loss(student, target, image, label, epoch):
        z = student(image)
        if epoch >= 2:
            return 0.5 * F.cross_entropy(z, label)
        phi = (int(2 * epoch + 1e-9) + 1) / 4  # half an epoch each
        seen.append(phi)
        return 1.5 * F.mse_loss(z, phi * target)

    by_hand(theirs, teacher, train, loss)
    close(mine, theirs)
    assert EPOCHS == 3
    assert sorted(set(seen)) == [0.25, 0.5, 0.75, 1.0]


def test_the_two_terms_have_the_gradient_of_the_published_one(train: Batches) -> None:
    z_s, z_t = torch.randn(6, 5, requires_grad=True), torch.randn(6, 5)
    signals = {"student.logits": z_s, "teacher.logits": z_t}
    _, *terms = annealing_kd(tiny_net(), tiny_net()).terms()
    for epoch in range(20):
        phi = (epoch // 2 + 1) / 10
        total = sum(term.weight_at(epoch, 30) * term.value(signals) for term in terms)
        (mine,) = torch.autograd.grad(total, z_s)
        (wanted,) = torch.autograd.grad(F.mse_loss(z_s, phi * z_t), z_s)
        torch.testing.assert_close(mine, wanted)


def test_the_defaults_are_golden() -> None:
    """300 epochs of the released code: T = 1 to 10 in 200 epochs, then 100 with the labels."""
    label, logits, size = annealing_kd(tiny_net(), tiny_net()).terms()
    for epoch in range(300):
        phi = (epoch // 20 + 1) / 10 if epoch < 200 else 0.0
        assert label.weight_at(epoch, 300) == float(epoch >= 200)
        assert logits.weight_at(epoch, 300) == pytest.approx(phi)
        assert size.weight_at(epoch, 300) == pytest.approx((1 - phi) * (epoch < 200))
    assert (label.name, logits.name, size.name) == ("label", "logits", "size")


@pytest.mark.parametrize("epochs", [3, 7, 10, 300])
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_phi_never_falls_and_ends_at_1(epochs: int, steps: int) -> None:
    shares = [step / (epochs * 13) for step in range(epochs * 13)]
    seen = [annealing(steps, 0.6)(share) for share in shares]
    with_teacher = [phi for phi in seen if phi is not None]
    assert with_teacher == sorted(with_teacher)
    assert sorted(set(with_teacher)) == [(k + 1) / steps for k in range(steps)]
    assert seen.index(None) == len(with_teacher), "the labels come last"


def test_without_a_first_stage_it_is_plain_training(train: Batches, platform: Platform) -> None:
    mine, theirs = tiny_net(4, 1), tiny_net(4, 1)
    fit(
        annealing_kd(mine, tiny_net(6, 2), first=0.0), train, settings=settings(), platform=platform
    )
    fit(plain(theirs), train, settings=settings(), platform=platform)
    close(mine, theirs, 1e-6)


def test_in_one_step_and_to_the_end_it_is_logit_regression(
    train: Batches, platform: Platform
) -> None:
    mine, theirs, teacher = tiny_net(4, 1), tiny_net(4, 1), tiny_net(6, 2)
    fit(
        annealing_kd(mine, teacher, first=1.0, steps=1),
        train,
        settings=settings(),
        platform=platform,
    )
    fit(logits_mse(theirs, teacher), train, settings=settings(), platform=platform)
    close(mine, theirs, 1e-6)
    stage = annealing_kd(mine, teacher, first=1.0, steps=1)
    assert [t.weight_at(3, 3) for t in stage.terms()] == [0.0, 1.0, 0.0], "to the very end"


def test_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        annealing_kd(tiny_net(), tiny_net(), steps=0, first=1.5, weight=-1.0)
    assert caught.value.problems == (
        "steps is 0; it must be at least 1",
        "first is 1.5; it must be at most 1",
        "weight is -1.0; it must be at least 0",
    )
