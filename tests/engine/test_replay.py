"""A recorded teacher is the live teacher, bit for bit, under augmentation."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.cache import Replay, open_recording, record
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import CacheError, WiringError
from stillhouse.methods import kd, th_kd


@pytest.mark.parametrize("method", [kd, th_kd])
def test_live_and_replayed_teacher_give_identical_weights(
    method, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    train = replace(train, views=2)
    live, teacher = tiny_net(4, 1, dropout=0.2), tiny_net(4, 2)
    cached = copy.deepcopy(live)
    settings = Settings(epochs=5, seed=3)
    fit(method(live, teacher), train, settings, platform)
    parts = ["logits", "embedding"]
    recording = record(Role("teacher", teacher), parts, train, tmp_path / "t", {"teacher": "a"})
    fit(method(cached, teacher).replace(Replay("teacher", recording)), train, settings, platform)
    for a, b in zip(live.parameters(), cached.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_second_epoch_serves_the_view_that_is_shown(train: Batches, tmp_path: Path) -> None:
    """A peer's cache kept the outputs of epoch 1 and served them for other crops in epoch 2."""
    train = replace(train, views=3)
    teacher = tiny_net(4, 2).eval()
    recording = record(Role("teacher", teacher), ["logits"], train, tmp_path, {})
    replay = Replay("teacher", recording)
    for epoch in (0, 1, 2, 4):
        for batch in train.epoch(epoch):
            with torch.no_grad():
                shown = teacher(batch["batch.image"])
            assert torch.equal(replay.run(batch)["teacher.logits"], shown)


def test_what_was_not_recorded_is_refused(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    teacher = Role("teacher", tiny_net(4, 2))
    with pytest.raises(CacheError, match=r"data\.views"):
        record(teacher, ["logits"], train, tmp_path, {})
    two = replace(train, views=2)
    recording = record(teacher, ["logits"], two, tmp_path, {"teacher": "a"})
    with pytest.raises(CacheError, match="recorded with teacher 'a', this run has 'b'"):
        record(teacher, ["logits"], two, tmp_path, {"teacher": "b"})
    stage = kd(tiny_net(4, 1), teacher).replace(Replay("teacher", recording))
    with pytest.raises(CacheError, match=r"views 0\.\.1, but view 2"):
        fit(stage, train, Settings(epochs=3), platform)
    with_embedding = th_kd(tiny_net(4, 1), teacher).replace(Replay("teacher", recording))
    with pytest.raises(WiringError, match="'embedding' of 'teacher' was not recorded"):
        fit(with_embedding, two, Settings(epochs=1), platform)
    with pytest.raises(CacheError, match="no finished recording"):
        open_recording(tmp_path / "none", {})


def test_recording_leaves_the_teacher_as_it_was(train: Batches, tmp_path: Path) -> None:
    teacher = tiny_net(4, 2, dropout=0.5).train()
    before = copy.deepcopy(teacher.state_dict())
    record(Role("teacher", teacher), ["logits"], replace(train, views=1), tmp_path, {})
    assert teacher.training
    assert not teacher.fc._forward_pre_hooks
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())
