"""Snapshot distillation: the loop by hand over cycles, uneven ones too, and a resume."""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from by_hand import RATE, Batch, Nets, equals_by_hand, frozen, labels, of_tiny, softened
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.methods import snapshot_kd
from stillhouse.testing.method_trial import FitStopped, StopAtStep

T, WEIGHT = 3.0, 1.5


@pytest.mark.parametrize(("epochs", "cycles"), [(4, 2), (4, 3), (6, 3), (7, 5)])
def test_it_equals_a_loop_by_hand(epochs: int, cycles: int, train: Batches) -> None:
    length = math.ceil(epochs * len(train) / cycles)
    steps = 0

    def objective(nets: Nets, batch: Batch, _epoch: float) -> Iterator[Tensor]:
        nonlocal steps
        _, _, logits = of_tiny(nets["student"], batch)
        loss = labels(logits, batch)
        if steps >= length:
            _, _, theirs = frozen(of_tiny, nets["snapshot"], batch)
            loss = loss + WEIGHT * softened(logits, theirs, T)
        yield loss
        steps += 1
        if steps % length == 0:
            nets["snapshot"].load_state_dict(nets["student"].state_dict())

    def rate(step: int) -> float:
        return RATE * 0.5 * (1 + math.cos(math.pi * (step % length) / length))

    stage = snapshot_kd(tiny_net(4, 1), cycles=cycles, temperature=T, weight=WEIGHT)
    equals_by_hand(stage, train, objective, epochs=epochs, rate=rate)


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
    with suppress(FitStopped):
        run(directory=tmp_path, observer=StopAtStep(stop_at))
    resumed = run(directory=tmp_path)
    for node, state in whole.items():
        for name, value in state.items():
            assert torch.equal(value, resumed[node][name]), f"{node}.{name}"
