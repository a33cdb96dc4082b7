"""Patience ends a training on validation, when a naive loop says so, on the way of the whole."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.fit_identity import fit_identity
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.schedules import cosine
from stillhouse.engine.selection import Progress, Selection
from stillhouse.engine.trainer import Settings
from stillhouse.errors import WiringError
from stillhouse.methods import plain
from stillhouse.tasks import CLASSIFICATION

NAN = float("nan")
WHOLE = Settings(epochs=7, optimizer=sgd(0.3), schedule=cosine(), checkpoint_seconds=0.0)


def ends_after(values: list[float], patience: int) -> int:
    """By the definition: the first epoch whose last ``patience`` values beat none before them."""
    for end in range(patience + 1, len(values) + 1):
        before = [value for value in values[: end - patience] if value == value]
        late = [value for value in values[end - patience : end] if value == value]
        if late and (not before or max(late) > max(before)):
            continue
        return end
    return len(values)


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize(
    "values",
    [
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
        [0.1, 0.4, 0.3, 0.5, 0.5, 0.4, 0.6],
        [0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.8],
        [NAN, 0.2, NAN, 0.3, NAN, NAN, NAN],
    ],
)
def test_it_ends_where_a_naive_loop_says(values: list[float], patience: int) -> None:
    stage = plain(tiny_net(4, 1))
    settings = Settings(epochs=len(values), patience=patience)
    selection, progress = Selection(stage, settings, "student"), Progress()
    for value in values:
        scores = {"student": {CLASSIFICATION.metric.name: value}}
        selection.take(scores, progress, dict)
        progress.epoch += 1
        if selection.finished(progress, []):
            break
    assert progress.epoch == ends_after(values, patience)


class Stopping(NullObserver):
    """Stops after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self, images: int) -> None:
        self.left -= 1
        if not self.left:
            raise InterruptedError


def test_what_is_kept_is_a_point_on_the_way_of_the_whole(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    known = {"platform": platform, "validation": train}
    whole = fit(plain(tiny_net(4, 1)), train, settings=WHOLE, **known)
    values = [record["validation"]["student"]["accuracy"] for record in whole.history]
    patience, end = next(
        (n, ends_after(values, n)) for n in (1, 2, 3) if 2 < ends_after(values, n) < len(values)
    )
    patient = replace(WHOLE, patience=patience)
    short = fit(plain(tiny_net(4, 1)), train, settings=patient, **known)
    told = ("loss", "validation", "lr", "weights")
    assert [[r[key] for key in told] for r in short.history] == [
        [r[key] for key in told] for r in whole.history[:end]
    ]
    assert short.best_epoch == end - patience
    snapshot = fit(plain(tiny_net(4, 1)), train, settings=replace(WHOLE, until_epoch=end), **known)
    # Stopped amid the epoch before its end and started again, it ends there with the same bits.
    asked = {**known, "settings": patient, "directory": tmp_path, "identity": "one"}
    with suppress(InterruptedError):
        steps = (end - 2) * len(train) + 2
        fit(plain(tiny_net(4, 1)), train, observer=Stopping(steps), **asked)
    resumed = fit(plain(tiny_net(4, 1)), train, **asked)
    again = fit(plain(tiny_net(4, 1)), train, **asked)
    assert again.reused
    assert len(resumed.history) == len(again.history) == end
    for name, value in snapshot.last["student"].items():
        for other in (short, resumed, again):
            assert torch.equal(other.last["student"][name], value), name
            assert torch.equal(other.best["student"][name], short.best["student"][name]), name


def test_it_wants_validation_and_a_whole_epoch(train: Batches, platform: Platform) -> None:
    with pytest.raises(WiringError, match="patience is read from validation data"):
        fit(plain(tiny_net(4, 1)), train, settings=Settings(patience=2), platform=platform)
    with pytest.raises(WiringError, match="patience must be at least 1"):
        Settings(patience=0)


def test_off_it_changes_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = plain(tiny_net(4, 1))
    off, on = Settings(), Settings(patience=3)
    assert fit_identity(stage, off, 5) != fit_identity(stage, on, 5)
    rules = {name: value for name, value in vars(off).items() if name != "patience"}
    before = type("Before", (), {})()
    vars(before).update(rules)
    assert fit_identity(stage, before, 5) == fit_identity(stage, off, 5)
