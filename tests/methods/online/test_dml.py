"""DML: the loop by hand in both orders of updates, the cohort, what it measures."""

from collections.abc import Iterator

import pytest
import torch
from by_hand import Batch, Nets, Objective, equals_by_hand, labels, softened, trained
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings, training
from stillhouse.errors import WiringError
from stillhouse.methods import dml, plain

T = 2.0
NAMES = ["student", "peer1", "peer2"]
CHOSEN = {"temperature": T, "weight": 0.7, "label_weight": 0.5}


def cohort() -> list[nn.Module]:
    return [tiny_net(4, 1), tiny_net(6, 2), tiny_net(5, 3)]


def loss_of(mine: Tensor, others: list[Tensor], batch: Batch) -> Tensor:
    """0.5 CE + 0.7 / (M - 1) * sum of T^2 KL, as one would write it."""
    mutual = sum(softened(mine, other.detach(), T) for other in others)
    return 0.5 * labels(mine, batch) + 0.7 / len(others) * mutual


def together(nets: Nets, batch: Batch, _epoch: float) -> list[Tensor]:
    logits = [nets[name](batch["batch.image"]) for name in NAMES]
    return [loss_of(z, [other for other in logits if other is not z], batch) for z in logits]


def one_after_the_other(nets: Nets, batch: Batch, _epoch: float) -> Iterator[Tensor]:
    """Each network in its update, the others in train mode and as they are by then."""
    for name in NAMES:
        with torch.no_grad():
            others = [nets[n](batch["batch.image"]) for n in NAMES if n != name]
        yield loss_of(nets[name](batch["batch.image"]), others, batch)


@pytest.mark.parametrize(
    ("update", "objective"), [("synchronous", together), ("alternating", one_after_the_other)]
)
def test_it_equals_a_loop_by_hand(update: str, objective: Objective, train: Batches) -> None:
    student, *peers = cohort()
    stage = dml(student, peers, update=update, **CHOSEN)
    equals_by_hand(stage, train, objective, learning=[[name] for name in NAMES])


@pytest.mark.parametrize("update", ["synchronous", "alternating"])
def test_weight_0_is_plain_training(update: str, train: Batches) -> None:
    """The student is the control then: peers are in the room and change nothing."""
    mine, theirs = tiny_net(4, 1), tiny_net(4, 1)
    trained(dml(mine, [tiny_net(6, 2)], weight=0.0, update=update), train)
    trained(plain(theirs), train)
    for name, parameter in mine.named_parameters():
        torch.testing.assert_close(parameter, theirs.get_parameter(name), rtol=1e-6, atol=1e-7)


def test_how_often_batch_norm_sees_a_batch(train: Batches) -> None:
    """Once a step when all move together; once in each update in which a network plays."""
    for update, times in (("synchronous", 1), ("alternating", 3)):
        nets = cohort()
        trained(dml(nets[0], nets[1:], update=update), train, epochs=1)
        assert [net.bn.num_batches_tracked.item() for net in nets] == [times * len(train)] * 3


def test_student_peers_and_ensemble_are_measured(train: Batches) -> None:
    nets = cohort()
    stage = dml(nets[0], nets[1:])
    fitted = trained(stage, train, validation=train)
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
    with training(dml(tiny_net(), [tiny_net(6)]), train, Settings(), platform) as trainer:
        played = {
            n.name
            for plan in trainer.objective.wiring.updates
            for n in (*plan.inside, *plan.outside)
        }
    assert played == {"student", "peer1"}


def test_each_learns_from_all_others() -> None:
    stage = dml(tiny_net(4), [tiny_net(4), tiny_net(6)])
    known = [(t.name, t.weight_at(0.0), t.reads) for t in stage.terms()]
    assert known[1] == ("mutual", 1.0, ("student.logits", "peer1.logits", "peer2.logits"))
    assert known[3] == ("mutual_peer1", 1.0, ("peer1.logits", "student.logits", "peer2.logits"))


def test_a_network_twice_is_refused() -> None:
    net = tiny_net()
    with pytest.raises(WiringError, match="'peer2' shares parameters with 'student'"):
        dml(net, [tiny_net(), net])
