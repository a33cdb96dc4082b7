"""A teacher cache has a directory of its own; what was done to its files is found before use."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stillhouse.cache import Replay, TeacherCache, check_directory, record
from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.errors import CacheError
from stillhouse.records.checked import read_checked, write_checked
from stillhouse.records.sealed import DIGITS

PART = "logits-float32/part.json"

pytestmark = pytest.mark.usefixtures("small_shards")


@pytest.fixture
def again(
    train: Batches, platform: Platform, role: Role, tmp_path: Path
) -> Callable[..., TeacherCache]:
    """Record two views of forty samples in six shards, or find them."""

    def made(**identity: object) -> TeacherCache:
        two = replace(train, views=2)
        return record(role, ["logits"], two, tmp_path / "there", identity, platform)

    return made


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("there/*/view-*"))


def test_shards_of_unknown_origin_are_not_taken_over(again, tmp_path: Path) -> None:
    """Whoever lost teacher-cache.json would be given the signals of another teacher."""
    again(teacher="a")
    (tmp_path / "there" / "teacher-cache.json").unlink()
    with pytest.raises(CacheError, match=r"holds shards but no teacher-cache\.json"):
        again(teacher="b")


def test_shards_of_an_unknown_part_are_not_taken_over(again, tmp_path: Path) -> None:
    again()
    (tmp_path / "there" / PART).unlink()
    with pytest.raises(CacheError, match=r"holds shards but no part\.json"):
        again()


def test_other_files_are_left_alone(again, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.tex").write_text("")
    with pytest.raises(CacheError, match=r"holds other files \(thesis\.tex\)"):
        again()
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["thesis.tex"]


def test_a_file_is_no_directory(again, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    for place in (tmp_path / "there", tmp_path / "there" / "below"):
        with pytest.raises(CacheError, match="there is a file"):
            check_directory(place)
    with pytest.raises(CacheError, match="there is a file"):
        again()


@pytest.mark.parametrize("name", [".lock", "logits-float32"])
def test_what_the_system_refuses_is_a_message(name: str, again, tmp_path: Path) -> None:
    again()
    there = tmp_path / "there" / name
    shutil.rmtree(there) if there.is_dir() else there.unlink(missing_ok=True)
    if name == ".lock":
        there.mkdir()  # where a file should be, and the other way round
    else:
        there.write_text("")
    with pytest.raises(CacheError, match=r"a file is wanted|would have to be|no directory"):
        again()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("per_shard", 0, "damaged"),
        ("per_shard", "x", "damaged"),
        ("per_shard", None, "damaged"),
        ("shape", "abc", "damaged"),
        ("per_shard", 8, r"\[16, 3\] values, wanted \[8, 3\]"),
        ("per_shard", 32, r"\[16, 3\] values, wanted \[32, 3\]"),
        ("shape", [4], r"\[16, 3\] values, wanted \[16, 4\]"),
    ],
)
def test_an_edited_part_is_found(key: str, value, said: str, again, tmp_path: Path) -> None:
    again()
    path = tmp_path / "there" / PART
    edited = {**read_checked(path, CacheError, ""), key: value}
    path.write_text(json.dumps(edited))
    with pytest.raises(CacheError, match=r"part\.json is damaged: it has no checksum"):
        again()
    write_checked(path, edited)  # by somebody who knows how
    with pytest.raises(CacheError, match=said):
        again()


def test_shards_that_changed_places_are_found(again, tmp_path: Path) -> None:
    again()
    one, other = shards(tmp_path)[0], shards(tmp_path)[3]
    rest = -DIGITS - len(".safetensors")
    content = one.read_bytes(), other.read_bytes()
    for path, held, name in ((one, content[1], other), (other, content[0], one)):
        path.unlink()
        (path.parent / (path.name[:rest] + name.name[rest:])).write_bytes(held)
    with pytest.raises(CacheError, match=r"of another place \(view 1, row 0"):
        again()


def test_a_folder_in_the_place_of_a_shard_is_said(again, tmp_path: Path) -> None:
    again()
    path = shards(tmp_path)[0]
    path.unlink()
    path.mkdir()
    with pytest.raises(CacheError, match=f"{path.name} cannot be read"):
        again()


def test_a_shard_that_goes_while_it_is_in_use_is_said(again, tmp_path: Path) -> None:
    replay = Replay("teacher", again())
    shards(tmp_path)[0].unlink()
    row = torch.tensor([0])
    with pytest.raises(CacheError, match="view 0, row 0 was removed"):
        replay.run({"batch.lookup": torch.tensor([[0, 0]]), "batch.index": row})


def test_what_a_killed_run_left_unfinished_is_removed(again, tmp_path: Path) -> None:
    again()
    unfinished = tmp_path / "there" / "logits-float32" / ".view-0002-row-00000000-0.77.part"
    unfinished.write_text("half a shard")
    again()
    assert not unfinished.exists()


def test_a_cache_that_is_complete_needs_no_room(again, monkeypatch) -> None:
    again()
    full = shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert again().views == 2
