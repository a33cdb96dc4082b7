"""Snapshot distillation: a hand-written loop over cycles, uneven ones too, and a resume."""

import copy
import math
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import Silent, fit
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import RecipeError
from stillhouse.methods import snapshot_kd

RATE, T, WEIGHT = 0.1, 3.0, 1.5


def by_hand(net: nn.Module, train: Batches, epochs: int, cycles: int) -> nn.Module:
    """Returns the last snapshot."""
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=0.9, weight_decay=5e-4)
    length = math.ceil(epochs * len(train) / cycles)
    snapshot, step = None, 0
    for epoch in range(epochs):
        for batch in train.epoch(epoch):
            if step and step % length == 0:
                snapshot = copy.deepcopy(net).eval()
            for group in optimizer.param_groups:
                group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * (step % length) / length))
            logits = net(batch["batch.image"])
            loss = F.cross_entropy(logits, batch["batch.label"])
            if snapshot is not None:
                with torch.no_grad():
                    theirs = F.softmax(snapshot(batch["batch.image"]) / T, 1)
                gap = (theirs * (theirs.log() - F.log_softmax(logits / T, 1))).sum(1).mean()
                loss = loss + WEIGHT * T**2 * gap
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    assert snapshot is not None
    return snapshot


@pytest.mark.parametrize(("epochs", "cycles"), [(4, 2), (4, 3), (6, 3), (7, 5)])
def test_it_equals_a_hand_written_loop(
    epochs: int, cycles: int, train: Batches, platform: Platform
) -> None:
    student = tiny_net(4, 1)
    net = copy.deepcopy(student)
    by_hand(net, train, epochs, cycles)
    stage = snapshot_kd(student, cycles=cycles, temperature=T, weight=WEIGHT)
    fit(
        stage,
        train,
        settings=Settings(epochs, optimizer=sgd(RATE), channels_last=False),
        platform=platform,
    )
    for (name, a), b in zip(student.state_dict().items(), net.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=name)


class Stop(Exception):  # noqa: N818
    pass


class Stopping(Silent):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, images: int) -> None:
        self.at -= 1
        if not self.at:
            raise Stop


@pytest.mark.parametrize("stop_at", [9, 10, 11, 13])
def test_a_resume_in_any_cycle_gives_the_same_bits(
    stop_at: int, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    """Twenty steps in two cycles; before, at and after the snapshot."""
    settings = Settings(4, checkpoint_seconds=0.0)

    def run(**more: object):
        stage = snapshot_kd(tiny_net(4, 1, dropout=0.2), cycles=2)
        return fit(stage, train, settings=settings, platform=platform, **more).last

    whole = run()
    with suppress(Stop):
        run(directory=tmp_path, observer=Stopping(stop_at))
    resumed = run(directory=tmp_path)
    for node, state in whole.items():
        for name, value in state.items():
            assert torch.equal(value, resumed[node][name]), f"{node}.{name}"


def test_settings_out_of_range_are_told() -> None:
    with pytest.raises(RecipeError, match="cycles is 1; it must be at least 2"):
        snapshot_kd(tiny_net(), cycles=1)
