"""WebDataset archives: the rows of the same images in folders, in any order, by bounded copies."""

import io
import json
import pickle
import tarfile
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from stillhouse.data import Augment, Batches, load
from stillhouse.data.blocks import Blocks, blocks_of, shuffled_by_blocks
from stillhouse.data.sources import pictures
from stillhouse.data.sources.archives import ArchiveSettings
from stillhouse.data.tables import SampleTable
from stillhouse.data.views import shuffled
from stillhouse.errors import DataError
from stillhouse.records.remote import Remote

LABELS = {"train-0": (0, 1, 0), "train-1": (1,), "train-2": (1, 0, 1, 0), "val-0": (1, 0)}


def picture(value: int, size: tuple[int, int] = (3, 2)) -> bytes:
    held = io.BytesIO()
    Image.new("L", size, value).save(held, "PNG")
    return held.getvalue()


def archive(place: Path, files: dict[str, bytes]) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(place, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return place


def numbered(name: str) -> list[int]:
    start = 50 * list(LABELS).index(name)
    return [start + row for row in range(len(LABELS[name]))]


def written(folder: Path) -> Path:
    for name, labels in LABELS.items():
        files = {}
        for row, (label, value) in enumerate(zip(labels, numbered(name), strict=True)):
            files[f"{row:04}.png"] = picture(value)
            files[f"{row:04}.cls"] = b"%d\n" % label
        archive(folder / f"{name}.tar", files)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    MemoryFileSystem.store.clear()


@pytest.fixture
def from_disk(monkeypatch):
    """All tables are read row by row, as those that memory cannot hold."""
    monkeypatch.setattr(pictures, "IN_MEMORY", 0)


def on_store(folder: Path) -> str:
    store = MemoryFileSystem()
    for path in folder.glob("*.tar"):
        store.pipe_file(f"/set/{path.name}", path.read_bytes())
    return "memory://set"


def values(splits) -> list[int]:
    return [int(np.asarray(splits.train.read(row))[0, 0]) for row in range(len(splits.train))]


def test_rows_and_labels_and_splits(tmp_path):
    splits = load(written(tmp_path / "set"), test=0)
    wanted = [v for name in LABELS if name.startswith("train") for v in numbered(name)]
    assert splits.train.images[:, 0, 0, 0].tolist() == wanted
    assert splits.train.labels.tolist() == [0, 1, 0, 1, 1, 0, 1, 0]
    assert splits.validation.labels.tolist() == [1, 0]
    assert splits.classes == ("0", "1")


def test_a_store_gives_what_a_folder_gives_and_is_read_once(tmp_path, from_disk, monkeypatch):
    here = load(written(tmp_path / "set"), test=0)
    address, copies = on_store(tmp_path / "set"), tmp_path / "copies"
    there = load(address, test=0, archives=ArchiveSettings(local=copies))
    assert values(there) == values(here)
    assert there.fingerprint == here.fingerprint
    assert (
        pickle.loads(pickle.dumps(there.train)).read(3).tobytes() == there.train.read(3).tobytes()
    )
    for path in copies.glob("*"):
        path.unlink()
    asked = []
    monkeypatch.setattr(Remote, "copy_to", lambda *args: asked.append(args))
    again = load(f"{address}/train-{{0..2}}.tar", validation=0, test=0)
    assert len(again.train) == 8  # from the index alone
    assert not asked


def test_copies_stay_within_their_room_and_one_that_is_gone_comes_again(tmp_path, from_disk):
    address = on_store(written(tmp_path / "set"))
    size = max(path.stat().st_size for path in (tmp_path / "set").glob("train*"))
    settings = ArchiveSettings(shuffle=1, local=tmp_path / "copies", local_gb=2 * size / 1e9)
    splits = load(address, test=0, archives=settings)
    assert values(splits) == values(load(tmp_path / "set", test=0))
    held = [path.stat().st_size for path in (tmp_path / "copies").glob("[!.]*")]
    assert 0 < sum(held) <= 2 * size
    with pytest.raises(DataError, match=r"while all rows are shuffled together; .*shuffle: 1$"):
        load(address, test=0, archives=replace(settings, shuffle=None))
    with pytest.raises(DataError, match="while 2 are shuffled together; give more room"):
        load(address, test=0, archives=replace(settings, shuffle=2))
    with pytest.raises(DataError, match="give room for two"):
        load(address, test=0, archives=replace(settings, local_gb=size / 1e9))


def test_archives_that_change_on_the_store_are_told(tmp_path, from_disk):
    address = on_store(written(tmp_path / "set"))
    settings = ArchiveSettings(local=tmp_path / "copies")
    splits = load(address, test=0, archives=settings)
    for path in (tmp_path / "copies").glob("[!.]*"):
        path.unlink()
    MemoryFileSystem().pipe_file("/set/train-1.tar", (tmp_path / "set/train-0.tar").read_bytes())
    fresh = pickle.loads(pickle.dumps(splits.train))
    with pytest.raises(DataError, match=r"train-1\.tar has another content than when it was read"):
        fresh.read(3)


def test_the_order_is_a_permutation_of_blocks_in_windows_and_pure():
    of = torch.tensor([0] * 5 + [1] * 3 + [2] * 7 + [3] * 1 + [4] * 4)
    seen = set()
    for epoch in range(20):
        order = shuffled_by_blocks(3, epoch, Blocks(of, 2))
        assert torch.equal(order, shuffled_by_blocks(3, epoch, Blocks(of, 2)))
        assert sorted(order.tolist()) == list(range(20))
        shown = of[order].tolist()
        runs, rest = [], set(range(5))
        while shown:  # by hand: two blocks, all their rows, then the next two
            block = set(dict.fromkeys(shown)) if len(rest) == 1 else set()
            for value in shown:
                if len(block) == min(2, len(rest)):
                    break
                block.add(value)
            many = sum(int((of == each).sum()) for each in block)
            assert set(shown[:many]) == block
            shown, rest = shown[many:], rest - block
            runs.append(frozenset(block))
        seen.add(tuple(runs))
    assert len(seen) > 10  # blocks are in another order each epoch
    whole = shuffled_by_blocks(3, 1, Blocks(of, 5))
    assert torch.equal(whole, shuffled(3, 1, 20))


def test_batches_follow_the_archives_and_resume_amid_an_epoch(tmp_path, from_disk):
    settings = ArchiveSettings(shuffle=1)
    splits = load(written(tmp_path / "set"), test=0, archives=settings)
    batches = Batches(splits.train, Augment((0.5,), (0.25,)), batch_size=2)
    known = blocks_of(splits.train)
    assert known is not None
    shown = [batch["batch.index"].tolist() for batch in batches.epoch(4)]
    assert list(chain(*shown)) == shuffled_by_blocks(0, 4, known).tolist()
    late = [batch["batch.index"].tolist() for batch in batches.epoch(4, start=2)]
    assert late == shown[2:]
    parts = [replace(batches, rank=rank, world=2) for rank in (0, 1)]
    both = zip(*(part.epoch(4) for part in parts), strict=True)
    together = [torch.cat([each["batch.index"] for each in two]).tolist() for two in both]
    assert together == shown
    with pytest.raises(DataError, match="an order of its own, out of all archives"):
        list(batches.epoch(0, order=lambda labels, seed, epoch: torch.arange(len(labels))))


def test_labels_from_json_and_text_and_what_is_left_out(tmp_path):
    files = {}
    for row in range(4):
        name = "fox" if row % 2 else "ant"
        files[f"a/{row}.jpg.png"] = picture(row)  # its suffix is all behind the first dot
        files[f"a/{row}.json"] = json.dumps({"name": name, "box": [0, 1]}).encode()
        files[f"a/{row}.txt"] = name.encode()
        files[f"a/{row}.npy"] = b"not read"
    files["a/.hidden"] = b"x"
    place = archive(tmp_path / "set.tar", files)
    for label in ("json.name", "txt"):
        splits = load(place, label=label, validation=0, test=0)
        assert [splits.classes[n] for n in splits.train.labels] == ["ant", "fox", "ant", "fox"]
        left = "4 .txt" if label == "json.name" else "4 .json"
        first, second = sorted(["4 .npy", left])
        assert splits.notes == (f"{place}: left out are 1 hidden, {first}, {second}",)
    images = load(place, labelled=False, validation=0, test=0)
    assert images.train.labels.shape == (4, 0)


BAD = {
    "no label": ({"0.png": picture(0)}, {}, r"set\.tar: 0 has no label \.cls; .*data\.label"),
    "no image": ({"0.cls": b"1"}, {}, r"0 has no image; it has \.cls"),
    "two images": ({"0.png": picture(0), "0.jpg": picture(0), "0.cls": b"1"}, {},
                   r"0 has 2 images \(png, jpg\); name the suffix"),
    "another image": ({"0.png": picture(0), "0.cls": b"1"}, {"image": "jpg"},
                      r"has no image \.jpg \(data\.image\); it has \.png, \.cls"),
    "an empty label": ({"0.png": picture(0), "0.cls": b""}, {}, r"the label is ''"),
    "no text": ({"0.png": picture(0), "0.cls": b"\xff\xfe"}, {}, "has no label: text is wanted"),
    "no key": ({"0.png": picture(0), "0.json": b"{}"}, {"label": "json.a"}, "the key 'a' of JSON"),
    "twice": ({"0.png": picture(0), "0.PNG": picture(0)}, {}, "has 0.PNG twice"),
    "damaged": ({"0.png": picture(0)[:20], "0.cls": b"1"}, {}, r"0\.png: the image cannot be read"),
    "empty": ({}, {}, "has no samples"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_an_archive_that_is_none_of_samples(tmp_path, case):
    files, given, said = BAD[case]
    place = archive(tmp_path / "set.tar", files)
    with pytest.raises(DataError, match=said):
        load(place, **given)


def test_damaged_archives_and_wrong_addresses(tmp_path):
    written(tmp_path / "set")
    whole = (tmp_path / "set/train-2.tar").read_bytes()
    for content in (b"junk", whole[:700], whole[:2000]):
        (tmp_path / "set/train-2.tar").write_bytes(content)
        with pytest.raises(DataError, match=r"train-2\.tar cannot be read as a tar archive"):
            load(tmp_path / "set")
    with pytest.raises(DataError, match=r"there is no \.tar at memory://nothing"):
        load("memory://nothing")
    with pytest.raises(DataError, match=r"counts backwards; write \{0\.\.3\}"):
        load("memory://set/train-{3..0}.tar")
    with pytest.raises(DataError, match=r"archives \(data\.archives\) say .* 'digits' are none"):
        load("digits", archives=ArchiveSettings(shuffle=2))


def test_a_shuffle_that_changes_nothing_is_said(tmp_path):
    splits = load(written(tmp_path / "set"), test=0, archives=ArchiveSettings(shuffle=1))
    assert not isinstance(splits.train, SampleTable)
    assert "archives.shuffle (data.archives) changes nothing" in splits.notes[0]
