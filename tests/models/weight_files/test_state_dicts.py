"""State dicts of many makers: under any key, with any prefix; two that both fit are asked about."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from stillhouse.models import load_weights, weights_fingerprint

KEYS = [
    "state_dict", "model", "model_state", "model_state_dict", "net", "network", "state_dict_ema",
    "model_ema", "ema", "weights", "student", "module", "best.model.state_dict",
]  # fmt: skip
PREFIXES = [
    "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.",
    "backbone.", "model.module.", "a.b.c.", "_fsdp_wrapped_module.",
]  # fmt: skip


def nested(path: str, value: object) -> dict:
    first, _, rest = path.partition(".")
    return {"epoch": 3, first: nested(rest, value) if rest else value}


@pytest.mark.parametrize("key", KEYS)
def test_any_key(source, taken, tmp_path, key):
    torch.save(nested(key, source.state_dict()), tmp_path / "w.pt")
    assert taken(tmp_path / "w.pt") == f"weights of w.pt under '{key}'"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_prefix(source, taken, tmp_path, prefix):
    state = {prefix + name: tensor for name, tensor in source.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "w.pt")
    taken(tmp_path / "w.pt")


def test_a_list_of_states_and_an_optimiser(source, taken, tmp_path):
    momenta = torch.optim.SGD(source.parameters(), lr=0.1, momentum=0.9).state_dict()
    torch.save([source.state_dict(), momenta], tmp_path / "w.pt")
    taken(tmp_path / "w.pt")


def test_arrays_of_numpy(source, taken, tmp_path):
    state = {name: tensor.numpy() for name, tensor in source.state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    taken(tmp_path / "w.pt")


def test_states_side_by_side_are_one(tmp_path):
    first, second = (
        nn.ModuleDict({"body": nn.Linear(2, 3), "head": nn.Linear(3, 2)}) for _ in range(2)
    )
    parts = {name: part.state_dict() for name, part in first.items()}
    torch.save({"epoch": 1, **parts}, tmp_path / "w.pt")
    load_weights(second, tmp_path / "w.pt")
    assert weights_fingerprint(first) == weights_fingerprint(second)


def test_an_averaged_model(source, taken, tmp_path):
    torch.save({"swa": AveragedModel(source).state_dict()}, tmp_path / "w.pt")
    said = taken(tmp_path / "w.pt")
    assert said == "weights of w.pt under 'swa'; 1 names are not taken (n_averaged)"


def test_a_lightning_checkpoint(source, taken, tmp_path):
    """A module of Lightning holds the network as `model`, and a loss with weights of its own."""
    whole = nn.ModuleDict({"model": source, "criterion": nn.CrossEntropyLoss(torch.ones(3))})
    torch.save(
        {
            "epoch": 3,
            "pytorch-lightning_version": "2.4.0",
            "state_dict": whole.state_dict(),
            "hyper_parameters": {"lr": np.float64(0.1)},
            "optimizer_states": [torch.optim.Adam(source.parameters()).state_dict()],
            "callbacks": {"ModelCheckpoint{'monitor': 'acc'}": {"best": torch.tensor(0.5)}},
        },
        tmp_path / "last.ckpt",
    )
    said = taken(tmp_path / "last.ckpt")
    assert "under 'state_dict' with prefix 'model.'" in said
    assert "1 names are not taken (criterion.weight)" in said


def test_counts_of_a_profiler_are_left_and_said(source, taken, tmp_path):
    state = {
        **source.state_dict(), "total_ops": torch.zeros(1), "fc.total_params": torch.zeros(1),
    }  # fmt: skip
    torch.save(state, tmp_path / "w.pt")
    assert "2 names are not taken (total_ops, fc.total_params)" in taken(tmp_path / "w.pt")


def test_wrapped_parts(source, taken, tmp_path):
    """As in the ImageNet example of torch, where only the features are in a DataParallel."""
    state = dict(source.state_dict())
    for name in list(state):
        if name.startswith("layer1."):
            state[name.replace("layer1.", "layer1.module.")] = state.pop(name)
    torch.save(state, tmp_path / "w.pt")
    taken(tmp_path / "w.pt")


def test_a_bare_file_for_a_wrapped_model(source, target, tmp_path):
    torch.save(source.state_dict(), tmp_path / "w.pt")
    for wrap in (nn.DataParallel, lambda net: nn.ModuleDict({"model": net})):
        load_weights(wrap(target), tmp_path / "w.pt")
        assert weights_fingerprint(target) == weights_fingerprint(source)


def test_prefix_that_is_the_models_own_stays(tmp_path):
    first, second = (nn.ModuleDict({"module": nn.Linear(2, 2)}) for _ in range(2))
    torch.save(first.state_dict(), tmp_path / "w.pt")
    load_weights(second, tmp_path / "w.pt")
    assert weights_fingerprint(first) == weights_fingerprint(second)


def test_one_name_twice_is_refused(source, target, refused, tmp_path):
    state = {**source.state_dict(), "module.fc.bias": torch.ones(3)}
    torch.save(state, tmp_path / "w.pt")
    assert "1 unexpected (module.fc.bias)" in refused(target, tmp_path / "w.pt")


def test_two_keys_that_both_fit_are_asked_about(source, target, refused, taken, tmp_path):
    averaged = {name: tensor * 2 for name, tensor in source.state_dict().items()}
    held = {"state_dict": averaged, "state_dict_ema": source.state_dict()}
    torch.save(held, tmp_path / "w.pt")
    said = refused(target, tmp_path / "w.pt")
    assert "2 sets of weights that all fit ConvNet: 'state_dict', 'state_dict_ema'" in said
    assert "say which, such as weights_key: state_dict_ema" in said
    assert "weights_key 'ema'" in refused(target, tmp_path / "w.pt", key="ema")
    assert "state_dict_ema" in refused(target, tmp_path / "w.pt", key="ema")
    assert "under 'state_dict_ema'" in taken(tmp_path / "w.pt", key="state_dict_ema")


def test_two_equal_sets_are_one(source, taken, tmp_path):
    torch.save({"model": source.state_dict(), "ema": source.state_dict()}, tmp_path / "w.pt")
    taken(tmp_path / "w.pt")


@pytest.mark.parametrize("prefix", ["student.", "student"])
def test_two_prefixes_that_both_fit_are_asked_about(
    source, target, refused, taken, tmp_path, prefix
):
    both = {f"student.{name}": tensor for name, tensor in source.state_dict().items()}
    both |= {f"teacher.{name}": tensor * 2 for name, tensor in source.state_dict().items()}
    torch.save({"state_dict": both}, tmp_path / "w.pt")
    said = refused(target, tmp_path / "w.pt")
    assert "names with 'student.'" in said
    assert "such as weights_prefix: teacher." in said
    assert "no name in" in refused(target, tmp_path / "w.pt", prefix="tutor.")
    said = taken(tmp_path / "w.pt", prefix=prefix)
    assert f"with prefix '{prefix}'; {len(source.state_dict())} names are not taken" in said


def test_two_prefixes_of_which_one_has_other_shapes(source, taken, tmp_path):
    both = {f"student.{name}": tensor for name, tensor in source.state_dict().items()}
    both |= {
        f"teacher.{name}": torch.zeros([2 * side for side in tensor.shape])
        for name, tensor in source.state_dict().items()
    }
    torch.save(both, tmp_path / "w.pt")
    assert "with prefix 'student.'" in taken(tmp_path / "w.pt")


def test_all_misfits_are_listed_and_long_lists_cut(source, target, refused, tmp_path):
    state = dict(source.state_dict())
    state["fc.weight"] = torch.zeros(10, 8)
    state["layer1.conv.weight"] = torch.zeros(4, 1, 3, 3)
    for number in range(5):
        state[f"extra{number}"] = torch.zeros(1)
    del state["fc.bias"]
    save_file(state, tmp_path / "w.safetensors")
    said = refused(target, tmp_path / "w.safetensors")
    assert "does not fit ConvNet" in said
    assert "1 missing (fc.bias)" in said
    assert "5 unexpected (extra0, extra1, extra2 and 2 more)" in said
    assert "2 of another shape or kind" in said
    assert "fc.weight: file [10, 8] float32, model [3, 8] float32" in said


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({}, "an empty dict"),
        ([torch.zeros(1)], "a list"),
        ({"model": {"w": 1.0}, "epoch": 3}, "a dict with model, epoch"),
        ({"state_dict": {}}, "a dict with state_dict"),
        (torch.zeros(3), "a Tensor"),
    ],
)
def test_files_without_a_state_dict(target, refused, tmp_path, held, words):
    torch.save(held, tmp_path / "w.pt")
    said = refused(target, tmp_path / "w.pt")
    assert f"holds no state dict but {words}" in said
    assert "under a key: {'state_dict': model.state_dict()}" in said


def test_the_key_of_what_fits_best_is_named(target, refused, tmp_path):
    torch.save({"epoch": 3, "net": {"fc.weight": torch.zeros(3, 8)}}, tmp_path / "w.pt")
    said = refused(target, tmp_path / "w.pt")
    assert "under 'net' are 11 missing (layer1.conv.weight, " in said
