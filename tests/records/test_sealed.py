"""Sealed files: whole or not there, found by their place, and refused once they were changed."""

import hashlib
from pathlib import Path

import pytest
import torch

from stillhouse.errors import CacheError
from stillhouse.records.sealed import DIGITS, SealedFiles, mapped, words_about

TENSORS = {"value": torch.arange(6.0).reshape(2, 3).T, "row": torch.arange(3)}


@pytest.fixture
def files(tmp_path: Path) -> SealedFiles:
    return SealedFiles(
        tmp_path, "view-{:04d}-row-{:08d}", error=CacheError, again="delete this file"
    )


def test_a_file_is_named_by_place_and_checksum(files: SealedFiles) -> None:
    size = files.write((3, 4096), TENSORS, {"seconds": "1.5"})
    ((place, path),) = files.present().items()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]
    assert place == (3, 4096)
    assert path.name == f"view-0003-row-00004096-{digest}.safetensors"
    assert path.stat().st_size == size
    assert words_about(path) == {"seconds": "1.5"}


def test_tensors_come_back_read_or_mapped(files: SealedFiles) -> None:
    files.write((0, 0), TENSORS)
    path = files.present()[0, 0]
    files.check(path)
    for found in (files.read(path), mapped(path)):
        assert {name: torch.equal(found[name], value) for name, value in TENSORS.items()} == {
            "value": True,
            "row": True,
        }


def test_other_files_are_no_part_of_it(files: SealedFiles) -> None:
    other = SealedFiles(files.folder, "rows-{:08d}-{}", error=CacheError, again="")
    files.write((0, 12_345_678_901), TENSORS)  # more digits than the pattern asks for
    other.write((0, 3), TENSORS)
    (files.folder / "view-0-row-1-x.safetensors").write_bytes(b"")
    (files.folder / ".view-0000-row-00000001.part").write_bytes(b"")
    assert list(files.present()) == [(0, 12_345_678_901)]
    assert list(other.present()) == [(0, 3)]
    assert files.place("../view-0000-row-00000000-0123456789abcdef.safetensors") is None


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "renamed"])
def test_a_changed_file_is_refused(harm: str, files: SealedFiles) -> None:
    files.write((0, 0), TENSORS)
    path = files.present()[0, 0]
    content = bytearray(path.read_bytes())
    content[-1] ^= harm == "flip"
    path.write_bytes({"cut": content[:-1], "empty": b""}.get(harm, content))
    if harm == "renamed":
        path = path.rename(path.with_name("view.safetensors"))
    for look in (files.check, files.read):
        with pytest.raises(CacheError, match=rf"{path.name} is damaged.*delete this file"):
            look(path)


def test_what_is_gone_or_no_file_is_said(files: SealedFiles) -> None:
    files.write((0, 0), TENSORS)
    path = files.present()[0, 0]
    path.unlink()
    for look in (files.check, files.read):
        with pytest.raises(CacheError, match="cannot be read"):
            look(path)
    path.mkdir()
    with pytest.raises(CacheError, match="cannot be read"):
        files.check(path)


def test_sealed_by_hand_but_no_tensors(files: SealedFiles) -> None:
    digest = hashlib.sha256(b"text").hexdigest()[:DIGITS]
    path = files.folder / f"view-0000-row-00000000-{digest}.safetensors"
    path.write_bytes(b"text")
    with pytest.raises(CacheError, match="is damaged"):
        files.read(path)
