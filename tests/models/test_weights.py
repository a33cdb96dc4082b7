"""Weights from files and what is refused; how large a network is."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stillhouse.errors import WeightsError
from stillhouse.models import ModelSize, build_model, describe, load_weights, weights_fingerprint


def network(seed: int, **asked: int) -> nn.Module:
    torch.manual_seed(seed)
    return build_model("convnet-4-8", **({"classes": 3} | asked))


class Trap:
    """A pickle that leaves a file behind when someone executes it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def source() -> nn.Module:
    return network(1)


@pytest.fixture
def target() -> nn.Module:
    return network(2)


def refused(target: nn.Module, path: Path) -> str:
    """The message, after a look that nothing was copied."""
    before = weights_fingerprint(target)
    with pytest.raises(WeightsError) as caught:
        load_weights(target, path)
    assert weights_fingerprint(target) == before
    return str(caught.value)


def test_safetensors(source, target, tmp_path):
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert weights_fingerprint(target) == weights_fingerprint(source)


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_torch_files_of_many_makers(source, target, tmp_path, suffix, key, prefix):
    state = {prefix + name: tensor for name, tensor in source.state_dict().items()}
    torch.save({"epoch": 3, key: state} if key else state, tmp_path / f"w{suffix}")
    load_weights(target, str(tmp_path / f"w{suffix}"))
    assert weights_fingerprint(target) == weights_fingerprint(source)


def test_prefix_that_is_the_models_own_stays(tmp_path):
    first, second = (nn.ModuleDict({"module": nn.Linear(2, 2)}) for _ in range(2))
    torch.save(first.state_dict(), tmp_path / "w.pt")
    load_weights(second, tmp_path / "w.pt")
    assert weights_fingerprint(first) == weights_fingerprint(second)


def test_prefix_of_some_names_only_stays(source, target, tmp_path):
    state = dict(source.state_dict())
    state["module.fc.bias"] = state.pop("fc.bias")
    torch.save(state, tmp_path / "w.pt")
    message = refused(target, tmp_path / "w.pt")
    assert "1 missing (fc.bias)" in message
    assert "1 unexpected (module.fc.bias)" in message


def test_all_misfits_are_listed_and_long_lists_cut(source, target, tmp_path):
    state = dict(source.state_dict())
    state["fc.weight"] = torch.zeros(10, 8)
    state["layer1.bn.num_batches_tracked"] = torch.zeros(())
    for number in range(5):
        state[f"extra{number}"] = torch.zeros(1)
    del state["fc.bias"]
    save_file(state, tmp_path / "w.safetensors")
    message = refused(target, tmp_path / "w.safetensors")
    assert "does not fit ConvNet" in message
    assert "1 missing (fc.bias)" in message
    assert "5 unexpected (extra0, extra1, extra2 and 2 more)" in message
    assert "2 of another shape or kind" in message
    assert "fc.weight: file [10, 8] float32, model [3, 8] float32" in message
    assert "layer1.bn.num_batches_tracked: file [] float32, model [] int64" in message


def test_sparse_tensors_do_not_fit(source, target, tmp_path):
    state = dict(source.state_dict())
    state["fc.weight"] = state["fc.weight"].to_sparse()
    torch.save(state, tmp_path / "w.pt")
    assert "fc.weight" in refused(target, tmp_path / "w.pt")


def test_half_precision_becomes_the_models_own(source, target, tmp_path):
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in source.state_dict().items()
    }
    save_file(halves, tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert target.fc.weight.dtype == torch.float32
    assert torch.equal(target.fc.weight, halves["fc.weight"].float())


def test_missing_file_folder_and_unknown_suffix(target, tmp_path):
    assert "does not exist" in refused(target, tmp_path / "none.pt")
    (tmp_path / "folder.pt").mkdir()
    assert "is a folder" in refused(target, tmp_path / "folder.pt")
    (tmp_path / "w.onnx").write_bytes(b"")
    assert ".safetensors, .pt and .pth" in refused(target, tmp_path / "w.onnx")


def test_pickled_models_and_traps_are_never_run(source, target, tmp_path):
    torch.save(source, tmp_path / "whole.pt")
    assert "pickled objects" in refused(target, tmp_path / "whole.pt")
    mark = tmp_path / "executed"
    torch.save({"model": Trap(mark)}, tmp_path / "trap.pt")
    assert "pickled objects" in refused(target, tmp_path / "trap.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(mark)))
    refused(target, tmp_path / "plain.pt")
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["new.pt", "old.pt", "new.safetensors"])
def test_truncated_and_damaged_files(source, target, tmp_path, kind):
    path = tmp_path / kind
    if path.suffix == ".safetensors":
        save_file(source.state_dict(), path)
    else:
        torch.save(source.state_dict(), path, _use_new_zipfile_serialization=kind.startswith("new"))
    whole = path.read_bytes()
    for share in (0, 0.01, 0.3, 0.6, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        assert "truncated, damaged or of another kind" in refused(target, path)
    path.write_bytes(b"<html>404</html>")
    assert "truncated, damaged or of another kind" in refused(target, path)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({}, "an empty dict"),
        ([torch.zeros(1)], "list"),
        ({"epoch": 3, "net": {"w": torch.zeros(1)}}, "a dict with epoch, net"),
        ({"model": {"w": 1.0}}, "a dict with model"),
        ({"state_dict": {}}, "a dict with state_dict"),
    ],
)
def test_files_without_a_state_dict(target, tmp_path, held, words):
    torch.save(held, tmp_path / "w.pt")
    message = refused(target, tmp_path / "w.pt")
    assert words in message
    assert "state_dict, model, model_state" in message


def test_loading_keeps_layout_and_identity(source, target, tmp_path):
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    target.to(memory_format=torch.channels_last)
    weight = target.layer2.conv.weight
    load_weights(target, tmp_path / "w.safetensors")
    assert target.layer2.conv.weight is weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_bytes_hold_buffers_and_parameters_do_not():
    # weight, bias, mean, variance of 4 floats each and one 8-byte counter
    assert describe(nn.BatchNorm2d(4)) == ModelSize(parameters=8, bytes=4 * 4 * 4 + 8)


def test_precision_counts():
    assert describe(nn.Linear(3, 2).half()) == ModelSize(parameters=8, bytes=16)


def test_shared_weights_count_once():
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert describe(nn.Sequential(first, second)) == ModelSize(parameters=16, bytes=64)
