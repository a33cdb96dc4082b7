"""Annealing KD: the published two stages by hand, the growing of Phi, its limits."""

import pytest
import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_tiny
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.methods import annealing_kd
from stillhouse.methods.offline.annealing_kd import annealing


def test_it_equals_the_published_loop(train: Batches) -> None:
    """Of three epochs two with the teacher: Phi z_t itself is the target there, no split."""
    seen = []

    def objective(nets: Nets, batch: Batch, epoch: float) -> Tensor:
        _, _, logits = of_tiny(nets["student"], batch)
        if epoch >= 2:
            return 0.5 * labels(logits, batch)
        phi = (int(2 * epoch + 1e-9) + 1) / 4  # half an epoch each
        seen.append(phi)
        _, _, target = frozen(of_tiny, nets["teacher"], batch)
        return 1.5 * F.mse_loss(logits, phi * target)

    settings = {"steps": 4, "first": 2 / 3, "weight": 1.5, "label_weight": 0.5}
    stage = annealing_kd(tiny_net(4, 1), tiny_net(6, 2), **settings)
    equals_by_hand(stage, train, objective, epochs=3, tolerance=(1e-4, 1e-4))
    assert sorted(set(seen)) == [0.25, 0.5, 0.75, 1.0]


def test_the_two_terms_have_the_gradient_of_the_published_one() -> None:
    z_s, z_t = torch.randn(6, 5, requires_grad=True), torch.randn(6, 5)
    signals = {"student.logits": z_s, "teacher.logits": z_t}
    _, *terms = annealing_kd(tiny_net(), tiny_net()).terms()
    for epoch in range(20):
        phi = (epoch // 2 + 1) / 10
        total = sum(term.weight_at(epoch, 30) * term.value(signals) for term in terms)
        (mine,) = torch.autograd.grad(total, z_s)
        (wanted,) = torch.autograd.grad(F.mse_loss(z_s, phi * z_t), z_s)
        torch.testing.assert_close(mine, wanted)


def test_phi_grows_as_in_the_released_code() -> None:
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


def test_in_one_step_it_goes_on_to_the_very_end() -> None:
    stage = annealing_kd(tiny_net(), tiny_net(), first=1.0, steps=1)
    assert [t.weight_at(3, 3) for t in stage.terms()] == [0.0, 1.0, 0.0]
