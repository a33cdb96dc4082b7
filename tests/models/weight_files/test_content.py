"""What a file is, its content says: files of other formats, and those that are damaged."""

import gzip
import io
import os
import pickle
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stillhouse.models import load_weights

SUFFIXES = ["w.safetensors", "w.pt", "w.pth", "w.th", "w.ckpt", "w.bin", "w.pth.tar", "w.onnx", "w"]


@pytest.mark.parametrize("name", SUFFIXES)
@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_the_suffix_says_nothing(source, taken, tmp_path, name, kind):
    state, file = source.state_dict(), tmp_path / name
    if kind == "safetensors":
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=kind == "zip")
    assert taken(file) == f"weights of {name}"


def tar() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("w.pth"), io.BytesIO())
    return held.getvalue()


def zipped(**files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def npz() -> bytes:
    held = io.BytesIO()
    np.savez(held, **{"fc.weight": np.zeros((3, 8))})
    return held.getvalue()


def npy() -> bytes:
    held = io.BytesIO()
    np.save(held, np.zeros(3))
    return held.getvalue()


def scripted() -> bytes:
    held = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # torch says that its own format is old
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), held)
    return held.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
# As torch.onnx writes: IR version 8, producer "pytorch".
ONNX = b"\x08\x08\x12\x07pytorch\x1a\x052.0.0:\x10"
TENSORFLOW = b"\x08\x01\x12\x1a\x0a\x05serve\x12\x10saved_model_main" + b"\x00\xff" * 20
FOREIGN = {
    "empty": (lambda: b"", "is empty", "download it again"),
    "Git LFS": (lambda: LFS, "is a Git LFS pointer", "git lfs pull"),
    "page": (lambda: b"\n<!DOCTYPE html>\n<html>404</html>", "is a web page", "the address gives"),
    "denied": (lambda: b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page", ""),
    "gzip": (lambda: gzip.compress(b"weights"), "compressed with gzip", "unpack"),
    "tar": (tar, "is a tar archive", "unpack it"),
    "zip": (lambda: zipped(**{"a/w.pth": b"x"}), "is a zip archive with a/w.pth", "unpack it"),
    "npz": (npz, "is a NumPy archive", "name to tensor"),
    "npy": (npy, "is one NumPy array", "names its tensors"),
    "TorchScript": (scripted, "is a TorchScript program", "torch.jit.load(FILE).state_dict()"),
    "torch.export": (
        lambda: zipped(**{"w/archive_format": b"pt2"}),
        "is an exported program of torch.export",
        "state_dict()",
    ),
    "ONNX": (lambda: ONNX, "is an ONNX model", "exported from"),
    "TensorFlow": (lambda: TENSORFLOW, "is a TensorFlow model", "its own package"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(80), "an HDF5 file, as Keras", "own package"),
    "pickle": (lambda: pickle.dumps({"w": [0.5] * 40}), "is a plain pickle", "torch.save("),
    "deep JSON": (lambda: b'{"a":' * 10**5 + b"1" + b"}" * 10**5, "is truncated or damaged", ""),
    "JSON": (lambda: b'{"hidden_size": 64}', "is JSON without weights", "beside it"),
    "text": (lambda: b"accuracy 0.93\n", "is text that begins with 'accuracy 0.93'", ""),
    "noise": (lambda: b"\xfe\x01\x02\x99" * 30, "is of no known kind", "safetensors"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_kinds_are_told(target, refused, tmp_path, name):
    make, what, remedy = FOREIGN[name]
    file = tmp_path / "w.pth"
    file.write_bytes(make())
    said = refused(target, file)
    assert what in said
    assert remedy in said
    assert str(file) in said


@pytest.mark.parametrize("kind", ["new.pt", "old.pt", "new.safetensors"])
def test_truncated_files_are_damaged(source, target, refused, tmp_path, kind):
    file = tmp_path / kind
    if kind.endswith("safetensors"):
        save_file(source.state_dict(), file)
    else:
        torch.save(source.state_dict(), file, _use_new_zipfile_serialization=kind == "new.pt")
    whole = file.read_bytes()
    for share in (0.01, 0.1, 0.3, 0.6, 0.99):
        file.write_bytes(whole[: int(share * len(whole))])
        assert "is truncated or damaged" in refused(target, file), share


def test_a_flipped_bit_in_the_directory_of_a_zip(source, target, refused, tmp_path):
    """The length of a name there is one more, so bytes that are no text come with it."""
    torch.save(source.state_dict(), tmp_path / "w.pt")
    held = bytearray((tmp_path / "w.pt").read_bytes())
    entry = held.index(b"PK\x01\x02")
    held[entry + 9] |= 0x08  # names are UTF-8
    held[entry + 28] |= 0x40
    (tmp_path / "w.pt").write_bytes(held)
    assert "is truncated or damaged" in refused(target, tmp_path / "w.pt")


def test_what_is_not_there(source, target, refused, tmp_path):
    torch.save(source.state_dict(), tmp_path / "best.pth")
    assert "does not exist; beside it is best.pth" in refused(target, tmp_path / "best.pt")
    assert "there is no folder" in refused(target, tmp_path / "none" / "best.pt")
    os.mkfifo(tmp_path / "pipe.pt")
    assert "is no ordinary file" in refused(target, tmp_path / "pipe.pt")
    (tmp_path / "link.pt").symlink_to(tmp_path / "blob")
    assert f"is a link to '{tmp_path / 'blob'}', where nothing is" in refused(
        target, tmp_path / "link.pt"
    )
    assert "is too long a name" in refused(target, tmp_path / ("a" * 300))
    assert "'~nobody-is-called-so/w.pt' does not exist" in refused(
        target, "~nobody-is-called-so/w.pt"
    )
    for given, what in (("https://a.b/w.pt", "an address"), ("hf:org/name", "a name of the Hug")):
        assert f"weights: '{given}' is {what}" in refused(target, given)


def test_short_memory_is_no_damage(source, target, tmp_path, monkeypatch):
    def short(*_: object, **__: object) -> None:
        raise MemoryError

    torch.save(source.state_dict(), tmp_path / "w.pt")
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    monkeypatch.setattr(torch, "load", short)
    monkeypatch.setattr("stillhouse.models.weight_files.read.load_state", short)
    for name in ("w.pt", "w.safetensors"):
        with pytest.raises(MemoryError):
            load_weights(target, tmp_path / name)


def test_home_is_understood(source, taken, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(source.state_dict(), tmp_path / "w.pt")
    taken("~/w.pt")
