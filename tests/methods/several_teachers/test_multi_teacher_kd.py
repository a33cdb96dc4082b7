"""Several teachers: shares, gradients of the averaged response, and what counts as a teacher."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stillhouse.engine.nodes import Bridge
from stillhouse.engine.platform import open_platform
from stillhouse.engine.trainer import Settings, training
from stillhouse.errors import ModelError, WiringError
from stillhouse.functional.logits import confidence_shares, ensemble_kl
from stillhouse.methods import kd, multi_teacher_kd
from stillhouse.models import Ensemble
from stillhouse.testing import check_method
from stillhouse.testing.toy import taught, toy_batches, untaught


def test_the_gradient_is_that_of_the_averaged_response() -> None:
    torch.manual_seed(0)
    s = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    t, T = torch.randn(5, 3, 4, dtype=torch.float64), 2.0
    share = torch.softmax(torch.randn(5, 3, dtype=torch.float64), 1)
    mean = (share[:, :, None] * F.softmax(t / T, 2)).sum(1)
    wanted = -(mean * F.log_softmax(s / T, 1)).sum(1).mean() * T * T
    found = ensemble_kl(s, t, share, temperature=T).mean()
    grads = [torch.autograd.grad(value, s)[0] for value in (wanted, found)]
    assert torch.allclose(*grads, atol=1e-6)


def test_ensemble_kl_against_a_loop() -> None:
    torch.manual_seed(1)
    s, t, w = torch.randn(3, 4), torch.randn(3, 2, 4), torch.rand(3, 2)
    for row, value in enumerate(ensemble_kl(s, t, w, temperature=3.0)):
        total = 0.0
        q = torch.softmax(s[row].double() / 3, 0).tolist()
        for m in range(2):
            p = torch.softmax(t[row, m].double() / 3, 0).tolist()
            each = sum(a * (torch.tensor(a / b).log().item()) for a, b in zip(p, q, strict=True))
            total += w[row, m].item() * each * 9
        assert value.item() == pytest.approx(total, abs=1e-5)


def test_the_surer_of_the_label_counts_for_more_and_shares_sum_to_one() -> None:
    torch.manual_seed(2)
    z, y = torch.randn(6, 3, 5), torch.arange(6) % 5
    shares = confidence_shares(z, y)
    assert torch.allclose(shares.sum(1), torch.ones(6))
    right = F.log_softmax(z, 2)[torch.arange(6), :, y]
    assert torch.equal(shares.argmax(1), right.argmax(1))
    assert confidence_shares(z[:, :1], y).tolist() == [[1.0]] * 6
    assert torch.isfinite(confidence_shares(z * 1e4, y)).all()


def test_an_ensemble_answers_with_the_mean_of_probabilities() -> None:
    members = [untaught(4).eval(), taught(6).eval()]
    image = toy_batches().sample()["batch.image"]
    out = Ensemble(members)(image)
    mean = sum(F.softmax(member(image), 1) for member in members) / 2
    assert torch.allclose(out["logits"].exp(), mean, atol=1e-6)
    assert torch.equal(out["1"], members[1](image))
    with pytest.raises(ModelError, match="no members"):
        Ensemble([])
    with pytest.raises(ModelError, match=r"tell \[2, 3\] classes apart"):
        Ensemble([nn.Linear(4, 2), nn.Linear(4, 3)])(torch.zeros(1, 4))


def test_one_teacher_is_kd() -> None:
    platform = open_platform(device="cpu", precision="fp32")
    values = []
    for build in (kd, multi_teacher_kd):
        stage = build(untaught(4), taught(6))
        with training(stage, toy_batches(), Settings(epochs=1), platform) as trainer:
            values.append([t.value(trainer.objective.wiring.seen).item() for t in stage.terms()])
    assert values[0] == pytest.approx(values[1], abs=1e-6)


@pytest.mark.parametrize("listen", ["mean", "confidence", "random"])
def test_each_way_of_listening_keeps_the_contract(listen: str) -> None:
    def two(student: nn.Module, teacher: nn.Module, **settings: object):
        return multi_teacher_kd(student, Ensemble([teacher, taught(5)]), **settings)

    two.__signature__ = __import__("inspect").signature(multi_teacher_kd)  # type: ignore[attr-defined]
    check_method(two, options={"listen": listen}, widths=[(4, 6)])


def test_random_listens_to_one_teacher_per_step() -> None:
    stage = multi_teacher_kd(untaught(4), Ensemble([taught(4), taught(6)]), listen="random")
    shares = stage.node("shares")
    known = {"teachers": torch.zeros(5, 2, 3), "batch.label": torch.zeros(5, dtype=torch.int64)}
    drawn = [shares.run(known)["shares"] for _ in range(20)]
    assert all(torch.equal(d, d[:1].expand(5, 2)) and d[0].sum() == 1 for d in drawn)
    assert len({tuple(d[0].tolist()) for d in drawn}) == 2


def test_a_node_that_is_no_role_does_not_tell_how_many_it_is() -> None:
    with pytest.raises(WiringError, match="nobody knows how many it is"):
        multi_teacher_kd(untaught(4), Bridge("teacher", lambda x: x, "batch.image"))
