"""Defects found by running other toolkits, of losses: their size, their parameters, their order.

The formula itself (a mean over classes, a default that is not KL): tests/functional/test_logits.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.composite import Composite
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings, training
from stillhouse.engine.wiring import wire
from stillhouse.functional import cross_entropy
from stillhouse.methods import kd


def first_kd_mean(train: Batches, platform: Platform, **settings: float) -> float:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    with training(kd(student, teacher, **settings), train, Settings(), platform) as trainer:
        next(trainer.steps(0))
        trainer.look()
        return trainer.steppers[0].means()["kd"]


def test_the_kl_is_not_divided_by_the_number_of_classes(train: Batches, platform: Platform) -> None:
    """An optimisation suite: a new default reduction made the term C times smaller, 1000 here.

    997 classes that neither network believes in must not change the term.
    """

    def widened(net: nn.Module) -> nn.Module:
        head = nn.Linear(net.fc.in_features, 1000)
        with torch.no_grad():
            head.weight.zero_()[:3] = net.fc.weight
            head.bias.fill_(-1e4)[:3] = net.fc.bias
        net.fc = head
        return net

    few = first_kd_mean(train, platform)
    student, teacher = widened(tiny_net(4, 1)), widened(tiny_net(6, 2))
    with training(kd(student, teacher), train, Settings(), platform) as trainer:
        next(trainer.steps(0))
        trainer.look()
        many = trainer.steppers[0].means()["kd"]
    assert many == pytest.approx(few, rel=1e-5)


@pytest.mark.parametrize("weights", [(0.9, 0.1), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_t_squared_stays_at_every_weight(
    weights: tuple[float, float], train: Batches, platform: Platform
) -> None:
    """Several scripts: T squared was there or not depending on alpha; the loss jumped with it."""
    usual = first_kd_mean(train, platform)
    chosen = first_kd_mean(train, platform, weight=weights[0], label_weight=weights[1])
    assert chosen == usual


class Remembering(nn.Module):
    """A loss with a parameter that learns and a memory that fills."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(start))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return cross_entropy(self.scale * logits, label)


def two_losses(student: nn.Module) -> Stage:
    reads = ["student.logits", "batch.label"]
    terms = [Term("zeta", Remembering(1.0), reads), Term("alpha", Remembering(3.0), reads)]
    return Stage("two", [Role("student", student)], [Update("student", terms)])


def test_the_parameters_and_the_memory_of_a_loss_learn_and_are_kept(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    """A research framework kept losses in a plain dict: not moved, not trained, not saved.

    And the suite kept them in a ModuleList of a set, so that two of them could change places when a
    run was resumed in another process. Here their state goes by the name of the term.
    """
    stage = two_losses(tiny_net(4, 1))
    with training(stage, train, Settings(epochs=2), platform) as trainer:
        for _ in trainer.steps(0):
            pass
        kept = trainer.state_dict()
    losses = kept["updates"][0]["losses"]
    assert list(losses) == ["zeta.scale", "zeta.calls", "alpha.scale", "alpha.calls"]
    assert losses["zeta.calls"] == losses["alpha.calls"] == len(train)
    assert losses["zeta.scale"] != 1.0
    assert losses["alpha.scale"] != 3.0
    again = two_losses(tiny_net(4, 3))
    with training(again, train, Settings(epochs=2), platform) as trainer:
        trainer.load_state_dict(kept)
        for term in again.terms():
            assert term.module.scale == losses[f"{term.name}.scale"]
            assert term.module.calls == len(train)


def order() -> list[str]:
    """The names of all that an update trains and keeps, in its order."""
    batch = {"batch.image": torch.zeros(2, 3, 8, 8), "batch.label": torch.tensor([0, 1])}
    plan = wire(two_losses(tiny_net()), batch).updates[0]
    return list(Composite(plan).state_dict())


def test_the_order_of_parameters_is_the_same_in_every_process() -> None:
    """The same defect, from the outside: hash seeds and addresses must not decide any order."""
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": paths}
    code = "from test_losses import order; print(order())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(order())
