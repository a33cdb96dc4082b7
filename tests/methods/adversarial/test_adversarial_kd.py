"""Adversarial KD: the loop by hand of critic and student, on logits and on embeddings."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from by_hand import SGD, Batch, Nets, equals_by_hand, frozen, labels, of_tiny, softened, trained
from tiny import tiny_net
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as judged_as

from stillhouse.data.batches import Batches
from stillhouse.engine.schedules import cosine
from stillhouse.methods import adversarial_kd
from stillhouse.testing import check_method

T, WEIGHT, KD = 2.0, 0.5, 0.7


@pytest.mark.parametrize(("on", "at"), [("logits", 2), ("embedding", 1)])
def test_it_equals_a_loop_by_hand(on: str, at: int, train: Batches) -> None:
    ones, zeros = torch.ones(8), torch.zeros(8)

    def objective(nets: Nets, batch: Batch, _epoch: float) -> Iterator[Tensor]:
        theirs = frozen(of_tiny, nets["teacher"], batch)
        critic, matched = nets["judged"].layers, nets.get("matched", torch.nn.Identity())
        with torch.no_grad():
            fake = matched(of_tiny(nets["student"], batch)[at])
        told = judged_as(critic(theirs[at])[:, 0], ones) + judged_as(critic(fake)[:, 0], zeros)
        yield told
        mine = of_tiny(nets["student"], batch)
        fool = judged_as(critic(matched(mine[at]))[:, 0], ones)
        yield labels(mine[2], batch) + KD * softened(mine[2], theirs[2], T) + WEIGHT * fool

    settings = {"weight": WEIGHT, "kd_weight": KD, "temperature": T, "hidden": 5}
    stage = adversarial_kd(tiny_net(4, 1), tiny_net(6, 2), on=on, **settings)
    learning = [["judged"], ["student", "matched"] if on == "embedding" else ["student"]]
    adam = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.0)
    stage, _ = equals_by_hand(stage, train, objective, learning=learning, optimizers=[adam, SGD])
    if on == "embedding":
        assert isinstance(stage.node("matched").module, torch.nn.Linear)


def test_the_critic_wins_against_a_student_that_does_not_listen(train: Batches) -> None:
    def told(weight: float) -> float:
        stage = adversarial_kd(tiny_net(4, 1), tiny_net(4, 2), weight=weight, kd_weight=0.0)
        record = trained(stage, train, epochs=12, seed=0, schedule=cosine()).history[-1]
        return record["terms"]["tell"]

    assert told(0.0) < 1.0 < told(1.0), "chance is 1.386"


def test_embeddings_keep_the_contract() -> None:
    check_method(adversarial_kd, options={"on": "embedding"}, widths=[(4, 6)])


def test_rate_and_loss_of_an_epoch_are_the_students(train: Batches) -> None:
    (record,) = trained(adversarial_kd(tiny_net(4, 1), tiny_net(4, 2)), train, epochs=1).history
    assert record["lr"] == 0.05
    mine = [name for name in record["terms"] if name != "tell"]
    wanted = sum(record["weights"][name] * record["terms"][name] for name in mine)
    assert record["loss"] == pytest.approx(wanted)
