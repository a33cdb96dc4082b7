"""DML: both orders of updates by hand, the cohort, what it measures and refuses."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings, training
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import dml, plain

RATE, EPOCHS, T = 0.1, 2, 2.0


def settings(**changes: object) -> Settings:
    fixed = {"epochs": EPOCHS, "optimizer": sgd(RATE), "schedule": constant()}
    return Settings(**{**fixed, "channels_last": False, **changes})


def cohort() -> list[nn.Module]:
    return [tiny_net(4, 1), tiny_net(6, 2), tiny_net(5, 3)]


def optimizer_of(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), RATE, momentum=0.9, weight_decay=5e-4, fused=True)


def loss_of(mine: Tensor, others: list[Tensor], label: Tensor) -> Tensor:
    """0.5 CE + 0.7 / (M - 1) * sum of T^2 KL, as one would write it."""
    log_p = (mine / T).log_softmax(1)
    total = 0.5 * F.cross_entropy(mine, label)
    for other in others:
        q = (other.detach() / T).softmax(1)
        total = total + 0.7 / len(others) * T**2 * (q * (q.log() - log_p)).sum(1).mean()
    return total


def close(mine: list[nn.Module], theirs: list[nn.Module]) -> None:
    for a, b in zip(mine, theirs, strict=True):
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5, msg=name)


def test_synchronous_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    nets = cohort()
    byhand = [copy.deepcopy(net).train() for net in nets]
    optimizers = [optimizer_of(net) for net in byhand]
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            logits = [net(batch["batch.image"]) for net in byhand]
            for at, mine in enumerate(logits):
                others = [z for j, z in enumerate(logits) if j != at]
                loss_of(mine, others, batch["batch.label"]).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
    stage = dml(nets[0], nets[1:], temperature=T, weight=0.7, label_weight=0.5)
    fit(stage, train, settings=settings(), platform=platform)
    close(nets, byhand)


def test_alternating_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    """Each network in its update, the others in train mode and as they are by then."""
    nets = cohort()
    byhand = [copy.deepcopy(net).train() for net in nets]
    optimizers = [optimizer_of(net) for net in byhand]
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            for at, net in enumerate(byhand):
                with torch.no_grad():
                    others = [n(batch["batch.image"]) for n in byhand if n is not net]
                loss_of(net(batch["batch.image"]), others, batch["batch.label"]).backward()
                optimizers[at].step()
                optimizers[at].zero_grad()
    chosen = {"temperature": T, "weight": 0.7, "label_weight": 0.5, "update": "alternating"}
    fit(dml(nets[0], nets[1:], **chosen), train, settings=settings(), platform=platform)
    close(nets, byhand)


@pytest.mark.parametrize("update", ["synchronous", "alternating"])
def test_weight_0_is_plain_training(update: str, train: Batches, platform: Platform) -> None:
    """The student is the control then: peers are in the room and change nothing."""
    mine, theirs = tiny_net(4, 1), tiny_net(4, 1)
    fit(
        dml(mine, [tiny_net(6, 2)], weight=0.0, update=update),
        train,
        settings=settings(),
        platform=platform,
    )
    fit(plain(theirs), train, settings=settings(), platform=platform)
    for name, parameter in mine.named_parameters():
        torch.testing.assert_close(parameter, theirs.get_parameter(name), rtol=1e-6, atol=1e-7)


def test_how_often_batch_norm_sees_a_batch(train: Batches, platform: Platform) -> None:
    """Once a step when all move together; once in each update in which a network plays."""
    for update, times in (("synchronous", 1), ("alternating", 3)):
        nets = cohort()
        fit(
            dml(nets[0], nets[1:], update=update),
            train,
            settings=settings(epochs=1),
            platform=platform,
        )
        assert [net.bn.num_batches_tracked.item() for net in nets] == [times * len(train)] * 3


def test_student_peers_and_ensemble_are_measured(train: Batches, platform: Platform) -> None:
    nets = cohort()
    stage = dml(nets[0], nets[1:])
    fitted = fit(stage, train, settings=settings(), platform=platform, validation=train)
    assert list(fitted.history[-1]["validation"]) == ["student", "peer 1", "peer 2", "ensemble"]
    assert set(fitted.last) == {"student", "peer1", "peer2"}
    assert stage.keeps == "student"
    batches = list(train.once())
    with torch.no_grad():
        mean = [
            torch.stack([net.eval()(batch["batch.image"]).softmax(1) for net in nets]).mean(0)
            for batch in batches
        ]
    label = torch.cat([batch["batch.label"] for batch in batches])
    wanted = -torch.cat(mean).gather(1, label[:, None]).log().mean().item()
    assert fitted.history[-1]["validation"]["ensemble"]["loss"] == pytest.approx(wanted, rel=1e-4)


def test_the_ensemble_is_in_no_turn(train: Batches, platform: Platform) -> None:
    with training(dml(tiny_net(), [tiny_net(6)]), train, settings(), platform) as trainer:
        played = {
            n.name
            for plan in trainer.objective.wiring.updates
            for n in (*plan.inside, *plan.outside)
        }
    assert played == {"student", "peer1"}


def test_the_defaults_are_golden() -> None:
    stage = dml(tiny_net(4), [tiny_net(4), tiny_net(6)])
    known = [(t.name, t.weight_at(0.0), t.reads) for t in stage.terms()]
    assert known[1] == ("mutual", 1.0, ("student.logits", "peer1.logits", "peer2.logits"))
    assert known[3] == ("mutual_peer1", 1.0, ("peer1.logits", "student.logits", "peer2.logits"))
    assert len(stage.updates) == 1
    updates = dml(tiny_net(4), [tiny_net(4)], update="alternating").updates
    assert [update.learners for update in updates] == [("student",), ("peer1",)]


def test_what_it_refuses() -> None:
    net = tiny_net()
    with pytest.raises(WiringError, match="it has no peer to learn from; give one network"):
        dml(net, [])
    with pytest.raises(WiringError, match="'peer2' shares parameters with 'student'"):
        dml(net, [tiny_net(), net])
    with pytest.raises(RecipeError, match=r"update is 'alternate'; nearest: alternating"):
        dml(net, [tiny_net()], update="alternate")
    with pytest.raises(RecipeError, match=r"temperature is 0\.0; it must be above 0"):
        dml(net, [tiny_net()], temperature=0.0)
