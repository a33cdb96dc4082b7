"""Checkpoints in parts, and folders as those of the Hugging Face hub."""

import json

import pytest
import torch
from safetensors.torch import save_file

from stillhouse.models import load_weights


def shard(state: dict, folder, *, kind: str = "safetensors") -> str:
    """Two shards and their index, as transformers names them."""
    folder.mkdir(exist_ok=True)
    stem, end = ("model", "safetensors") if kind == "safetensors" else ("pytorch_model", "bin")
    names = list(state)
    placed = {}
    for at, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), start=1):
        file = f"{stem}-{at:05}-of-00002.{end}"
        held = {name: state[name] for name in part}
        if kind == "safetensors":
            save_file(held, folder / file)
        else:
            torch.save(held, folder / file)
        placed |= dict.fromkeys(part, file)
    index = f"{stem}.{end}.index.json"
    (folder / index).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": placed}))
    return index


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("whole", [True, False])
def test_shards_by_their_index_or_folder(source, taken, tmp_path, kind, whole):
    index = shard(source.state_dict(), tmp_path / "hf", kind=kind)
    (tmp_path / "hf" / "config.json").write_text("{}")
    assert taken(tmp_path / "hf" if whole else tmp_path / "hf" / index) == f"weights of {index}"


def test_shards_that_are_missing_or_elsewhere(source, target, refused, tmp_path):
    index = tmp_path / "hf" / shard(source.state_dict(), tmp_path / "hf")
    lost = tmp_path / "hf" / "model-00002-of-00002.safetensors"
    kept = lost.read_bytes()
    lost.unlink()
    assert "1 of 2 shards are missing (model-00002-of-00002" in refused(target, index)
    lost.write_bytes(kept[: len(kept) // 2])
    assert "model-00002-of-00002.safetensors' is truncated" in refused(target, index)
    lost.write_bytes(kept)
    named = json.loads(index.read_text())
    named["weight_map"]["more"] = lost.name
    index.write_text(json.dumps(named))
    assert "1 tensors are not in the shards that it names (more)" in refused(target, index)
    named["weight_map"]["fc.bias"] = "../outside.safetensors"
    index.write_text(json.dumps(named))
    assert "names files outside its folder" in refused(target, index)
    index.write_text('{"weight_map": []}')
    assert "lists no tensors" in refused(target, index)
    index.write_text(json.dumps({"weight_map": {"fc.bias": index.name}}))
    assert "is itself an index" in refused(target, index)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_with_its_config(source, taken, tmp_path, name):
    if name.endswith(".safetensors"):
        save_file(source.state_dict(), tmp_path / name)
    else:
        torch.save(source.state_dict(), tmp_path / name)
    (tmp_path / "config.json").write_text('{"architectures": ["ConvNet"]}')
    (tmp_path / "README.md").write_text("# A network\n")
    assert taken(tmp_path) == f"weights of {name}"


def test_a_folder_with_one_file_of_weights(source, taken, tmp_path):
    torch.save(source.state_dict(), tmp_path / "best")
    (tmp_path / "log.txt").write_text("epoch 1")
    taken(tmp_path)


def test_a_folder_with_several_or_none(source, target, refused, tmp_path):
    assert "holds no weights file; name the file" in refused(target, tmp_path)
    for name in ("best.pt", "last.pt"):
        torch.save(source.state_dict(), tmp_path / name)
    said = refused(target, tmp_path)
    assert "holds 2 weights files (best.pt, last.pt); name the file" in said
    load_weights(target, tmp_path / "best.pt")


def test_a_pointer_in_a_folder_that_was_cloned(target, refused, tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 99\n"
    (tmp_path / "model.safetensors").write_text(pointer)
    assert "model.safetensors' is a Git LFS pointer" in refused(target, tmp_path)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("snapshots/4f2a/model.safetensors", "below it there is snapshots/4f2a/model.safetensors"),
        ("checkpoint-500/pytorch_model.bin", "below it there is checkpoint-500/pytorch_model.bin"),
        ("__0_0.distcp", "dcp_to_torch"),
    ],
)
def test_folders_of_folders_and_of_distributed_training(target, refused, tmp_path, file, said):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(b"")
    assert said in refused(target, tmp_path)
