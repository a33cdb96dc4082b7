"""A snapshot is a point on the way of the whole training, not a shorter training."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.checkpoint import CHECKPOINT, Checkpoint
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.schedules import cosine
from stillhouse.engine.trainer import Settings
from stillhouse.errors import RunError, WiringError
from stillhouse.methods import plain

WHOLE = Settings(epochs=4, optimizer=sgd(0.05), schedule=cosine(), checkpoint_seconds=0.0)


def until(**stop: float) -> Settings:
    return replace(WHOLE, **stop)


def told(record: dict) -> tuple:
    return record["loss"], record["validation"], record["lr"]


def test_epoch_of_a_snapshot_is_that_of_the_whole_training(
    train: Batches, platform: Platform
) -> None:
    whole = fit(plain(tiny_net(4, 1)), train, settings=WHOLE, platform=platform, validation=train)
    short = fit(
        plain(tiny_net(4, 1)),
        train,
        settings=until(until_epoch=2),
        platform=platform,
        validation=train,
    )
    assert [told(record) for record in short.history] == [told(r) for r in whole.history[:2]]
    fewer = replace(WHOLE, epochs=2)
    other = fit(plain(tiny_net(4, 1)), train, settings=fewer, platform=platform, validation=train)
    assert not torch.equal(other.last["student"]["fc.weight"], short.last["student"]["fc.weight"])


def test_accuracy_stops_at_the_first_epoch_that_reaches_it(
    train: Batches, platform: Platform
) -> None:
    whole = fit(plain(tiny_net(4, 1)), train, settings=WHOLE, platform=platform, validation=train)
    reached = [record["validation"]["student"]["accuracy"] for record in whole.history]
    target = sorted(reached)[1]
    first = next(at for at, accuracy in enumerate(reached) if accuracy >= target)
    snapshot = until(until_metric=target)
    short = fit(
        plain(tiny_net(4, 1)), train, settings=snapshot, platform=platform, validation=train
    )
    assert len(short.history) == first + 1
    assert short.best_epoch <= first + 1


def test_accuracy_that_never_comes(train: Batches, platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"waited for 100\.00%.* in 4 epochs; ask for less"):
        fit(
            plain(tiny_net(4, 1)),
            train,
            identity="one",
            settings=until(until_metric=1.0),
            platform=platform,
            validation=train,
            directory=tmp_path,
        )
    assert Checkpoint(tmp_path / CHECKPOINT, "one").load(platform.device)["history"]


def test_accuracy_needs_validation(train: Batches, platform: Platform) -> None:
    with pytest.raises(WiringError, match="until_metric is read from validation data"):
        fit(plain(tiny_net(4, 1)), train, settings=until(until_metric=0.1), platform=platform)
