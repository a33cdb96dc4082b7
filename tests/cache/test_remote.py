"""A teacher cache on an object store: same bits, written once, manifests last, bounded copies."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from tiny import tiny_net

from stillhouse.cache import Leases, Replay, TeacherCache, passes_left, record
from stillhouse.cache.remote_shards import RemoteShards
from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.errors import CacheError, RecipeError, SystemFault
from stillhouse.records.local_copies import LocalCopies
from stillhouse.records.remote import TRIES, Remote, located

pytestmark = pytest.mark.usefixtures("small_shards")

IDENTITY = {"teacher": "a"}
VIEW_BYTES = 3 * 4096 + 40 * 3 * 4
"""Three shards of forty rows: what is asked for them, headers included."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Remote]:
    MemoryFileSystem.store.clear()
    yield Remote("memory://caches/a", LocalCopies(tmp_path / "copies", 10**6), lambda _: None)
    MemoryFileSystem.store.clear()


@pytest.fixture
def made(train: Batches, platform: Platform, role: Role) -> Callable[..., TeacherCache]:
    def make(where: Path | Remote, by: Role = role, **given: object) -> TeacherCache:
        identity = given.pop("identity", IDENTITY)
        return record(by, ["logits"], replace(train, views=2), where, identity, platform, **given)

    return make


def objects(place: Remote) -> dict[str, bytes]:
    return {name: (place / name).read_bytes() for name in place.sizes()}


def shards(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in found.items() if "/view-" in name}


def test_it_has_the_bytes_of_a_local_one_and_manifests(made, place, role, tmp_path: Path) -> None:
    here, there = made(tmp_path / "here"), made(place)
    files = {
        path.relative_to(tmp_path / "here").as_posix(): path.read_bytes()
        for path in (tmp_path / "here").rglob("*")
        if path.is_file() and path.name != ".lock" and "seconds" not in path.name
    }
    kept = {name: each for name, each in objects(place).items() if "seconds" not in name}
    manifests = {name for name in kept if name.endswith(("view-0000.json", "view-0001.json"))}
    assert len(manifests) == 2
    assert {name: each for name, each in kept.items() if name not in manifests} == files
    assert there.bytes == here.bytes
    assert there.seconds > 0
    lookup = torch.tensor([[3, 1], [39, 0], [17, 1]])
    asked = {"batch.lookup": lookup, "batch.index": lookup[:, 0]}
    one, other = (Replay("teacher", cache).run(asked) for cache in (here, there))
    assert torch.equal(one["teacher.logits"], other["teacher.logits"])
    copied, again = (
        replace(place, address="memory://caches/copied"),
        Refused("teacher", role.module),
    )
    for name, content in files.items():
        (copied / name).write_bytes(content)
    made(copied, again)
    assert again.runs == 2
    assert shards(objects(copied)) == shards(kept)


class Refused(Role):
    """A teacher that may be looked at twice (opened, spot check) and no more."""

    runs = 0

    def run(self, signals):
        self.runs += 1
        return super().run(signals)


def test_a_writer_killed_before_the_manifest_is_gone_on_with(made, place, monkeypatch) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(RemoteShards, "finish", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception, match="killed"):
            made(place)
    before = objects(place)
    assert not [name for name in before if name.endswith("view-0000.json")]
    assert passes_left(place, ["logits"], {}, 2) == 0
    again = Refused("teacher", tiny_net(4, 2))
    made(place, again)
    assert again.runs == 2
    after = objects(place)
    assert shards(before).items() <= shards(after).items()
    assert len(after) == len(before) + 2


def test_a_reader_trusts_the_manifest_alone(made, place) -> None:
    cache = made(place)
    (place / "logits-float32/view-0001.json").unlink()
    with pytest.raises(CacheError, match=r"no view-0001\.json, so view 1 is not whole"):
        cache.parts["logits"].check(2)
    name = next(name for name in place.sizes() if name.endswith(".safetensors"))
    size = place.sizes()[name]
    (place / name).write_bytes(b"0" * size)
    with pytest.raises(CacheError, match="its content does not fit the checksum in its name"):
        cache.parts["logits"].gather(0, torch.tensor([0]))
    (place / name).write_bytes(b"0")
    with pytest.raises(CacheError, match=f"has 1 bytes, and view-0000.json says {size}"):
        made(place)
    (place / name).unlink()
    made(place)  # and only this one is made again
    assert place.sizes()[name] == size


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ({"thesis.tex": b""}, r"holds other objects \(thesis\.tex\)"),
        ({"logits-float32/view-0000-row-00000000-0.safetensors": b""}, "holds shards but no"),
        ({"teacher-cache.json": b"{}"}, "has no checksum"),
    ],
)
def test_other_objects_are_left_alone(before, said: str, made, place) -> None:
    for name, content in before.items():
        (place / name).write_bytes(content)
    with pytest.raises(CacheError, match=said):
        made(place)
    assert objects(place) == before


def test_another_identity_is_refused(made, place) -> None:
    made(place)
    with pytest.raises(CacheError, match="cached with teacher 'a', this run has 'b'"):
        made(place, identity={"teacher": "b"})


def test_copies_are_bounded_and_right(made, place) -> None:
    bound = replace(place, copies=replace(place.copies, most=2 * VIEW_BYTES))
    cache = made(bound)
    copies = bound.copies
    damaged = copies.folder / "old-0000000000000000.safetensors"
    damaged.write_bytes(b"0" * 4096)
    for view in (0, 1, 0):
        cache.parts["logits"].gather(view, torch.arange(40))
        assert copies.bytes <= copies.most
    shard = next(copies.folder.glob("view-0000*"))
    whole = shard.read_bytes()
    shard.write_bytes(b"0" + whole[1:])  # a copy that was damaged is read again
    made(bound).parts["logits"].gather(0, torch.arange(40))
    assert shard.read_bytes() == whole
    small = replace(place, copies=replace(copies, most=2 * VIEW_BYTES - 1))
    with pytest.raises(CacheError, match=r"2 views at a time: .* allow more"):
        made(small)


@pytest.mark.parametrize("call", ["cat_file", "pipe_file", "find", "info"])
def test_what_fails_on_the_way_is_tried_again(call: str, made, place, monkeypatch) -> None:
    real, failing = getattr(MemoryFileSystem, call), {"left": TRIES - 1}

    def flaky(*given, **named):
        if failing["left"]:
            failing["left"] -= 1
            raise ConnectionResetError("dropped")
        return real(*given, **named)

    monkeypatch.setattr(MemoryFileSystem, call, flaky)
    whole = made(place)
    whole.parts["logits"].gather(0, torch.arange(40))
    assert failing["left"] == 0
    failing["left"] = TRIES
    waits: list[float] = []
    with pytest.raises(SystemFault, match=rf"after {TRIES} tries \(ConnectionResetError: dropped"):
        made(replace(place, address="memory://caches/b", pause=waits.append))
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_an_answer_that_was_cut_short_is_read_again(made, place, monkeypatch) -> None:
    cache, real, cut = made(place), MemoryFileSystem.cat_file, []

    def short(*given, **named):
        content = real(*given, **named)
        if len(cut) < 2 and str(given[1]).endswith(".safetensors"):
            cut.append(given[1])
            return content[:-1]
        return content

    for held in place.copies.folder.glob("*"):
        held.unlink()
    monkeypatch.setattr(MemoryFileSystem, "cat_file", short)
    assert cache.parts["logits"].gather(0, torch.arange(40)).shape == (40, 3)
    assert len(cut) == 2


def test_who_creates_second_is_told(place) -> None:
    one = place / "claim"
    assert one.create(b"mine")
    assert one.create(b"mine")  # the answer to the first was lost
    assert not one.create(b"theirs")
    assert one.read_bytes() == b"mine"


def test_addresses(tmp_path: Path) -> None:
    copies = LocalCopies(tmp_path, 1)
    assert located("file:///a/b", copies) == Path("/a/b")
    assert located("~/caches", copies) == Path("~/caches")
    assert str(located("s3://b/a/", copies) / "x") == "s3://b/a/x"
    assert (located("s3://b/a", copies) / "x").parent.address == "s3://b/a"
    with pytest.raises(RecipeError, match="nostore://a: its kind of store cannot be used here"):
        located("nostore://a", copies).exists()


def test_what_others_recorded_meanwhile_is_one_look_and_not_one_each(
    made, place, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, whole = list[str](), Leases.take

    def take(leases: Leases, name: str) -> bool:
        monkeypatch.setattr(Leases, "take", whole)
        # while the first lease is asked for, another worker records everything
        made(place, Role("teacher", copy.deepcopy(role.module)))
        monkeypatch.setattr(RemoteShards, "there", lambda _, spot: bool(looks.append(spot)) or True)
        return whole(leases, name)

    monkeypatch.setattr(Leases, "take", take)
    made(place)
    assert len(looks) <= 2 + 1  # its own place again, the next one, and the spot check's
