"""A cached teacher is the live teacher, bit for bit, under augmentation."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny_net

from stillhouse.bridges import InputAdapter
from stillhouse.cache import Replay, needed, nodes_before, record, replay_problems
from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.engine.diagnostics import Diagnostic
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, training
from stillhouse.errors import CacheError, WiringError
from stillhouse.methods import kd, th_kd


def replayed(stage: Stage, train: Batches, platform: Platform, folder: Path) -> Stage:
    """The same stage with its teacher cached; a copy of it is training to learn shapes."""
    with training(copy.deepcopy(stage), train, Settings(), platform) as trainer:
        need = needed(stage, "teacher", trainer.objective.wiring.seen)
    cache = record(
        stage.role("teacher"), list(need.parts), train, folder, {}, platform,
        before=nodes_before(stage, "teacher"), shapes=need.sizing,
    )  # fmt: skip
    return stage.replace(Replay("teacher", cache))


def weights(stage: Stage) -> list[torch.Tensor]:
    return [*stage.role("student").module.state_dict().values()]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", [kd, th_kd])
def test_live_and_replayed_teacher_give_identical_weights(
    method, precision: str, train: Batches, tmp_path: Path
) -> None:
    platform = open_platform(device="cpu", precision=precision)
    train = replace(train, views=2)
    live = method(tiny_net(4, 1, dropout=0.2), tiny_net(6, 2))
    cached = replayed(copy.deepcopy(live), train, platform, tmp_path)
    settings = Settings(epochs=5, seed=3)
    fit(live, train, settings=settings, platform=platform)
    fit(cached, train, settings=settings, platform=platform)
    assert all(torch.equal(a, b) for a, b in zip(weights(live), weights(cached), strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"resized_crop": 0.3, "erase": 0.7},
        {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
        {"randaugment": 2},
        {"trivial": True},
    ],
)
def test_a_cached_teacher_saw_the_same_augmentation(
    options, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    """The cache is made row by row in order, the student sees shuffled batches."""
    mean, std = train.augment.mean, train.augment.std
    train = replace(train, views=2, augment=Augment(mean, std, **options))
    live = kd(tiny_net(4, 1), tiny_net(6, 2))
    cached = replayed(copy.deepcopy(live), train, platform, tmp_path)
    for one in (live, cached):
        fit(one, train, settings=Settings(epochs=3), platform=platform)
    assert all(torch.equal(a, b) for a, b in zip(weights(live), weights(cached), strict=True))


def test_a_shared_head_stays_and_the_rest_of_the_teacher_goes(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    stage = replayed(
        th_kd(tiny_net(4, 1), tiny_net(6, 2)), replace(train, views=1), platform, tmp_path
    )
    held = [type(node.module).__name__ for node in stage.nodes if node.module is not None]
    assert held == ["TinyNet", "Linear"]  # the student and the teacher's head
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["logits-float32"]


def test_a_teacher_with_its_own_input_is_cached_through_it(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    train = replace(train, views=2)
    adapter = InputAdapter((0.5,) * 3, (0.25,) * 3, to_mean=(0.1,) * 3, to_std=(1.0,) * 3)
    stage = kd(tiny_net(4, 1), tiny_net(6, 2)).through(
        "teacher", Bridge("teacher_image", adapter, "batch.image")
    )
    cached = replayed(copy.deepcopy(stage), train, platform, tmp_path)
    for one in (stage, cached):
        fit(one, train, settings=Settings(epochs=3), platform=platform)
    assert all(torch.equal(a, b) for a, b in zip(weights(stage), weights(cached), strict=True))


def test_the_second_epoch_serves_the_view_that_is_shown(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    """A peer's cache kept the outputs of epoch 1 and served them for other crops in epoch 2."""
    train = replace(train, views=3)
    teacher = tiny_net(4, 2).eval()
    replay = Replay(
        "teacher", record(Role("teacher", teacher), ["logits"], train, tmp_path, {}, platform)
    )
    for epoch in (0, 1, 2, 4):
        for batch in train.epoch(epoch):
            with torch.no_grad():
                shown = teacher(batch["batch.image"])
            assert torch.equal(replay.run(batch)["teacher.logits"], shown)


def test_a_batch_of_several_views_is_served_row_by_row(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    train = replace(train, views=3)
    teacher = tiny_net(4, 2).eval()
    replay = Replay(
        "teacher", record(Role("teacher", teacher), ["logits"], train, tmp_path, {}, platform)
    )
    rows, views = torch.tensor([3, 30, 3, 7]), [2, 0, 1, 0]
    served = replay.run(
        {"batch.lookup": torch.stack([rows, torch.tensor(views)], 1), "batch.index": rows}
    )["teacher.logits"]
    for at, (row, view) in enumerate(zip(rows, views, strict=True)):
        with torch.no_grad():
            shown = teacher(train.show(row[None], view)["batch.image"])[0]
        torch.testing.assert_close(served[at], shown)


def test_what_was_not_cached_is_refused(train: Batches, platform: Platform, tmp_path: Path) -> None:
    teacher = Role("teacher", tiny_net(4, 2))
    with pytest.raises(CacheError, match=r"data\.views"):
        record(teacher, ["logits"], train, tmp_path, {}, platform)
    two = replace(train, views=2)
    cache = record(teacher, ["logits"], two, tmp_path, {}, platform)
    stage = kd(tiny_net(4, 1), teacher).replace(Replay("teacher", cache))
    with pytest.raises(CacheError, match=r"views 0\.\.1, but view 2"):
        fit(stage, train, settings=Settings(epochs=3), platform=platform)
    with_embedding = th_kd(tiny_net(4, 1), teacher).replace(Replay("teacher", cache))
    with pytest.raises(WiringError, match="'embedding' of 'teacher' was not cached"):
        fit(with_embedding, two, settings=Settings(epochs=1), platform=platform)


def test_what_is_read_on_validation_cannot_be_cached() -> None:
    teacher = Bridge("soft", lambda z: z.softmax(1), "teacher.logits")
    stage = kd(tiny_net(4, 1), tiny_net(6, 2))
    stage = replace(stage, nodes=[*stage.nodes, teacher])
    assert replay_problems(stage, "teacher") == []
    own = replace(
        stage, diagnostics=[Diagnostic("own", lambda z: z.mean(), ("student.embedding",))]
    )
    assert replay_problems(own, "teacher") == []
    with_likeness = replace(stage, diagnostics=[Diagnostic("soft", lambda z: z.mean(), ("soft",))])
    said = "'soft' (soft) is diagnosed on validation images, which are not cached"
    assert replay_problems(with_likeness, "teacher") == [said]
    scored = replace(stage, measures={"teacher": "teacher.logits"})
    said = "'teacher' (teacher.logits) is scored on validation images, which are not cached"
    assert replay_problems(scored, "teacher") == [said]


def test_cache_leaves_the_teacher_as_it_was(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    teacher = tiny_net(4, 2, dropout=0.5).train()
    before = copy.deepcopy(teacher.state_dict())
    record(Role("teacher", teacher), ["logits"], replace(train, views=1), tmp_path, {}, platform)
    assert teacher.training
    assert teacher.conv.weight.is_contiguous()
    assert not teacher.fc._forward_pre_hooks
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())
