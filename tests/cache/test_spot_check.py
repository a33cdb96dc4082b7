"""What no fingerprint sees is seen on a few samples that are run again."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny_net
from torch import nn

from stillhouse.cache import Storage, batch_problem, record
from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.errors import CacheError


def with_batch_statistics() -> nn.Module:
    net = tiny_net(4, 2)
    net.bn = nn.BatchNorm2d(4, track_running_stats=False)
    return net


def with_dropout_that_is_never_off() -> nn.Module:
    net = tiny_net(4, 2)
    net.drop.forward = lambda x: nn.functional.dropout(x, 0.5, training=True)
    return net


def test_another_model_of_the_same_weights_is_refused(
    train: Batches, platform: Platform, role: Role, tmp_path: Path
) -> None:
    train = replace(train, views=1)
    record(role, ["logits"], train, tmp_path, {}, platform)
    role.module.relu = nn.Tanh()
    with pytest.raises(CacheError, match=r"'logits' of sample .* is not what 'teacher' gives now"):
        record(role, ["logits"], train, tmp_path, {}, platform)


def test_other_pixels_under_the_same_fingerprint_are_refused(
    train: Batches, platform: Platform, role: Role, tmp_path: Path
) -> None:
    train = replace(train, views=1)
    record(role, ["logits"], train, tmp_path, {}, platform)
    images = train.table.images.clone()
    images[20] = 255 - images[20]
    other = replace(train, table=replace(train.table, images=images))
    with pytest.raises(CacheError, match="sample 20, view 0"):
        record(role, ["logits"], other, tmp_path, {}, platform)


@pytest.mark.parametrize("storage", [Storage(), Storage("bfloat16"), Storage("float16", top=2)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_sound_cache_is_found_sound(
    storage: Storage, precision: str, train: Batches, role: Role, tmp_path: Path
) -> None:
    platform = open_platform(device="cpu", precision=precision)
    with torch.no_grad():
        role.module.fc.weight[1] = role.module.fc.weight[0]  # a tie at the edge of the top
        role.module.fc.bias[1] = role.module.fc.bias[0]
    for _ in range(2):
        record(
            role, ["logits"], replace(train, views=2), tmp_path, {}, platform,
            storage={"logits": storage},
        )  # fmt: skip


@pytest.mark.parametrize("net", [with_batch_statistics, with_dropout_that_is_never_off])
def test_signals_that_are_not_the_samples_own_are_never_cached(
    net, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    role = Role("teacher", net())
    problem = batch_problem(role, ["logits"], train, platform) or ""
    assert "changes with the rest of its batch, or from run to run" in problem
    with pytest.raises(CacheError, match="draws at random"):
        record(role, ["logits"], replace(train, views=1), tmp_path, {}, platform)


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_signals_of_ones_own_pass(
    size: int, train: Batches, platform: Platform, role: Role
) -> None:
    train = replace(train, batch_size=size)
    assert batch_problem(role, ["logits", "conv"], train, platform) is None
