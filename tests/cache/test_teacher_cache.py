"""Recordings on disk: written once, resumed, shared, grown, checked, refused when they differ."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny_net

from stillhouse.cache import Storage, TeacherCache, open_cache, passes_left, record
from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Role
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.platform import Platform
from stillhouse.errors import CacheError

IDENTITY = {"teacher": "a", "view_seed": 0}
CHECKED = 2  # the dry run of a few rows when it is opened, and the spot check at the end
"""Runs of the role that compare what is there with what it gives now."""


class Counted(Role):
    """A teacher that counts how often it is run."""

    def __init__(self) -> None:
        super().__init__("teacher", tiny_net(4, 2))
        self.runs = 0

    def run(self, signals):
        self.runs += 1
        return super().run(signals)


class Stopped(Exception):  # noqa: N818
    pass


class StopAfter(NullObserver):
    def __init__(self, shards: int) -> None:
        self.left = shards

    def step(self, images: int) -> None:
        self.left -= 1
        if not self.left:
            raise Stopped


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen samples per shard: the forty rows of the table make three shards of a view."""
    import sys

    monkeypatch.setattr(sys.modules["stillhouse.cache.record"], "ROWS_PER_SHARD", 16)


@pytest.fixture
def train(train: Batches) -> Batches:
    return replace(train, views=2)


def made(
    train: Batches, platform: Platform, folder: Path, role: Role | None = None, **options
) -> TeacherCache:
    parts = options.pop("parts", ["logits"])
    identity = options.pop("identity", IDENTITY)
    return record(role or Counted(), parts, train, folder, identity, platform, **options)


def shard_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/view-*.safetensors"))


def test_shards_are_files_of_a_known_size(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    cache = made(train, platform, tmp_path)
    assert len(shard_files(tmp_path)) == 6
    payload = 2 * 40 * 3 * 4
    assert payload < cache.bytes < payload + 6 * 300  # and a header for each
    assert cache.seconds > 0


def test_a_finished_cache_is_not_cached_again(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    made(train, platform, tmp_path)
    again = Counted()
    made(train, platform, tmp_path, again)
    assert again.runs == CHECKED
    assert passes_left(tmp_path, ["logits"], {}, 2) == 0.0


def test_a_stopped_cache_loses_at_most_the_shard_in_flight(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        made(train, platform, tmp_path / "a", observer=StopAfter(4))
    assert len(shard_files(tmp_path / "a")) == 4
    assert passes_left(tmp_path / "a", ["logits"], {}, 2) == pytest.approx(2 / 3)
    role = Counted()
    resumed = made(train, platform, tmp_path / "a", role)
    assert role.runs == 3 + CHECKED  # rows 16-31 (two batches) and 32-39 of the second view
    whole = made(train, platform, tmp_path / "b")
    index = torch.arange(40)
    for view in range(2):
        assert torch.equal(
            resumed.parts["logits"].gather(view, index), whole.parts["logits"].gather(view, index)
        )


def test_more_views_and_more_signals_are_added_to_what_is_there(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    made(replace(train, views=1), platform, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in shard_files(tmp_path)}
    role = Counted()
    made(train, platform, tmp_path, role)
    assert role.runs == 5 + CHECKED
    half = {"embedding": Storage("float16")}
    grown = made(train, platform, tmp_path, parts=["logits", "embedding"], storage=half)
    after = {path.name: path.stat().st_mtime_ns for path in shard_files(tmp_path)}
    assert before.items() <= after.items()
    assert grown.parts["embedding"].gather(1, torch.tensor([39, 0, 17])).shape == (3, 4)


def test_two_runs_want_the_same_one(train: Batches, platform: Platform, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(NullObserver):
        def step(self, images: int) -> None:
            begun.set()
            go_on.wait(30)

    first = threading.Thread(
        target=made, args=(train, platform, tmp_path), kwargs={"observer": Slow()}
    )
    first.start()
    assert begun.wait(30)
    said: list[str] = []
    second = Counted()

    def heard(text: str) -> None:
        said.append(text)
        go_on.set()

    cache = made(train, platform, tmp_path, second, say=heard)
    first.join(30)
    assert "another run records" in said[0]
    assert second.runs == CHECKED
    assert cache.views == 2


@pytest.mark.parametrize("field", ["teacher", "view_seed"])
def test_another_identity_is_refused_with_the_field(
    field: str, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    made(train, platform, tmp_path)
    other = {**IDENTITY, field: "other"}
    for ask in (
        lambda: made(train, platform, tmp_path, identity=other),
        lambda: open_cache(tmp_path, other, ["logits"], 2),
    ):
        with pytest.raises(CacheError, match=f"cached with {field} .*, this run has 'other'"):
            ask()


def test_another_tap_under_the_same_name_is_refused(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    for tap, problem in (("conv", None), ("bn", "tap 'conv', this run has 'bn'")):
        role = Role("teacher", tiny_net(4, 2), aliases={"hint": tap})
        if problem is None:
            made(train, platform, tmp_path, role, parts=["hint"])
            continue
        with pytest.raises(CacheError, match=problem):
            made(train, platform, tmp_path, role, parts=["hint"])


def test_what_is_not_there_is_said(train: Batches, platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="holds no teacher cache"):
        open_cache(tmp_path / "none", IDENTITY, ["logits"], 1)
    made(train, platform, tmp_path)
    with pytest.raises(CacheError, match="'layer3' as float32; it holds logits-float32"):
        open_cache(tmp_path, IDENTITY, ["layer3"], 1)
    with pytest.raises(CacheError, match="lacks the shard of view 2, row 0"):
        open_cache(tmp_path, IDENTITY, ["logits"], 3)


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty"])
def test_a_damaged_shard_is_found_before_use(
    harm: str, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    made(train, platform, tmp_path)
    path = shard_files(tmp_path)[3]
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[-5] ^= 1
    path.write_bytes(b"" if harm == "empty" else content[: -1 if harm == "truncate" else None])
    for _ in range(2):
        with pytest.raises(CacheError, match=rf"{path.name} is damaged.*delete this file"):
            made(train, platform, tmp_path)
    path.unlink()
    role = Counted()
    made(train, platform, tmp_path, role)
    assert role.runs == 2 + CHECKED  # that shard only


def test_a_damaged_manifest_is_said(train: Batches, platform: Platform, tmp_path: Path) -> None:
    made(train, platform, tmp_path)
    (tmp_path / "logits-float32" / "part.json").write_text("{")
    with pytest.raises(CacheError, match=r"part\.json is damaged"):
        made(train, platform, tmp_path)
    (tmp_path / "teacher-cache.json").write_text("[]")
    with pytest.raises(CacheError, match="no object"):
        made(train, platform, tmp_path)


def test_a_short_disk_is_found_before_the_teacher_runs_for_it(
    train: Batches, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=(1 << 28) + 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    role = Counted()
    with pytest.raises(CacheError, match=r"takes 960 B, .* room for 100 B .*268 MB stay free"):
        made(train, platform, tmp_path, role)
    assert role.runs == 1  # the dry run that told the shape
    assert not shard_files(tmp_path)


def test_values_that_do_not_fit_their_storage_are_named(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    role = Counted()
    with torch.no_grad():
        role.module.fc.bias.fill_(1e5)
    with pytest.raises(CacheError, match=r"'logits' of samples 0\.\.7, view 0: .*float16"):
        made(train, platform, tmp_path, role, storage={"logits": Storage("float16")})
    with pytest.raises(CacheError, match=r"'teacher\.logits': top 3 of 3 scores saves nothing"):
        made(train, platform, tmp_path, storage={"logits": Storage(top=3)})
