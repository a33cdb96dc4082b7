"""How a role is run over the data: loaders, cuts, and what it cannot give."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from stillhouse.cache import passes_left, record
from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.errors import CacheError, StillhouseError

pytestmark = pytest.mark.usefixtures("small_shards")


def scaled(image: torch.Tensor) -> torch.Tensor:
    return image.float() / 255 + 0.1 * torch.rand(1)


def test_loader_processes_start_once_per_shard(
    train: Batches, platform: Platform, role: Role, tmp_path: Path, monkeypatch
) -> None:
    """A pool for each batch made a teacher cache slower than no loader processes at all."""
    opened = []
    begin = DataLoader.__iter__
    monkeypatch.setattr(DataLoader, "__iter__", lambda self: opened.append(1) or begin(self))
    alone = replace(train, views=1, transform=scaled)
    many = record(
        role, ["logits"], replace(alone, workers=1), tmp_path / "a", {}, platform
    )  # fmt: skip
    assert len(opened) == 3 + 2  # three shards of two batches; one to open, one to compare
    one = record(role, ["logits"], alone, tmp_path / "b", {}, platform)
    index = torch.arange(40)
    assert torch.equal(many.parts["logits"].gather(0, index), one.parts["logits"].gather(0, index))


def test_a_wide_signal_is_cut_by_its_own_size(
    train: Batches, platform: Platform, role: Role, tmp_path: Path, monkeypatch
) -> None:
    """Cut like the logits that were there, a feature map of 1 MB would make shards of 4 GB."""
    train = replace(train, views=2)
    record(role, ["logits"], train, tmp_path, {}, platform)
    monkeypatch.setattr(sys.modules["stillhouse.cache.record"], "BYTES_PER_SHARD", 8 * 1024)
    both = record(role, ["logits", "conv"], train, tmp_path, {}, platform)
    assert (both.parts["logits"].per_shard, both.parts["conv"].per_shard) == (16, 8)
    assert passes_left(tmp_path, ["logits", "conv"], {}, 2) == 0.0
    assert passes_left(tmp_path, ["logits", "conv"], {}, 3) == 2.0  # one pass for each cut
    both = record(role, ["logits", "conv"], replace(train, views=3), tmp_path, {}, platform)
    fresh = record(role, ["conv"], replace(train, views=3), tmp_path / "b", {}, platform)
    index = torch.randperm(40)
    assert torch.equal(both.parts["conv"].gather(2, index), fresh.parts["conv"].gather(2, index))


@pytest.mark.parametrize(
    ("parts", "views", "said"),
    [
        (["lojits"], 1, "teacher has no module 'lojits'"),
        (["logits"], 0, "0 views of"),
        ([], 1, "name one view and one signal"),
    ],
)
def test_what_cannot_be_given_is_said(
    parts, views, said, train: Batches, platform: Platform, role: Role, tmp_path: Path
) -> None:
    with pytest.raises(CacheError, match=said):
        record(role, parts, train, tmp_path, {}, platform, views=views)
    assert not role.module.fc._forward_pre_hooks


class Named(nn.Module):
    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": image.mean((2, 3)), "further": image.mean((2, 3))}


def test_a_model_without_logits_is_said(train: Batches, platform: Platform, tmp_path: Path) -> None:
    role = Role("teacher", Named())
    with pytest.raises(StillhouseError, match=r"none is called .logits."):
        record(role, ["logits"], train, tmp_path, {}, platform, views=1)
