"""What a module has of its own: tied tensors, renamed keys, counters, a head; and its values."""

import pytest
import torch
from safetensors.torch import load_model, save_file, save_model
from torch import nn

from stillhouse.errors import WeightsError
from stillhouse.models import build_model, load_weights, weights_fingerprint


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.last.weight = self.first.weight


class Sliced(nn.Module):
    """A buffer that is a part of a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.register_buffer("row", self.weight.data[1])


class Renamed(nn.Module):
    """Its `body` was called `trunk`; a hook of its own moves the keys."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = nn.Linear(4, 4), nn.Linear(4, 3)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        for name in [name for name in state_dict if name.startswith(f"{prefix}trunk.")]:
            state_dict[name.replace("trunk.", "body.", 1)] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class RenamedByHook(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.register_load_state_dict_pre_hook(self._rename)

    @staticmethod
    def _rename(module, state, prefix, *rest):
        for name in [name for name in state if name.startswith(f"{prefix}trunk.")]:
            state[name.replace("trunk.", "body.", 1)] = state.pop(name)


class RenamedByMethod(nn.Module):
    """Takes no `strict` and gives nothing back."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)

    def load_state_dict(self, state):
        super().load_state_dict({name.replace("trunk.", "body."): v for name, v in state.items()})


class Versioned(nn.Module):
    """Version 1 kept the transposed weight; files without a version are of version 1."""

    _version = 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3))

    def _load_from_state_dict(self, state_dict, prefix, metadata, *rest):
        if metadata.get("version", None) is None:
            state_dict[f"{prefix}weight"] = state_dict[f"{prefix}weight"].T
        super()._load_from_state_dict(state_dict, prefix, metadata, *rest)


class Reshaped(nn.Module):
    """Takes the weight of a linear layer for its 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 2, 1, bias=False)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        name = f"{prefix}conv.weight"
        if name in state_dict and state_dict[name].dim() == 2:
            state_dict[name] = state_dict[name][:, :, None, None]
        super()._load_from_state_dict(state_dict, prefix, *rest)


class Extra(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.seen = nn.Linear(2, 2), 0

    def get_extra_state(self):
        return {"seen": self.seen}

    def set_extra_state(self, state):
        self.seen = state["seen"]


@pytest.mark.parametrize("kind", [Tied, Sliced])
def test_tensors_that_are_one(tmp_path, kind):
    """As `safetensors.torch.save_model` writes them, and as torch does: twice."""
    source, target, other = kind(), kind(), kind()
    save_model(source, tmp_path / "w.safetensors")
    torch.save(source.state_dict(), tmp_path / "w.pt")
    load_model(other, tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert weights_fingerprint(target) == weights_fingerprint(source) == weights_fingerprint(other)
    torch.save(
        {"model": {f"module.{n}": v for n, v in source.state_dict().items()}}, tmp_path / "w"
    )
    fresh = kind()
    load_weights(fresh, tmp_path / "w")
    assert weights_fingerprint(fresh) == weights_fingerprint(source)


def test_only_the_other_name_of_a_tied_tensor(tmp_path):
    source, target = Tied(), Tied()
    save_file({"last.weight": source.first.weight.data}, tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert torch.equal(target.first.weight, source.first.weight)


def test_tied_tensors_that_differ_in_the_file(refused, tmp_path):
    state = {"first.weight": torch.zeros(4, 4), "last.weight": torch.ones(4, 4)}
    torch.save(state, tmp_path / "w.pt")
    said = refused(Tied(), tmp_path / "w.pt")
    assert "first.weight, last.weight are one tensor in the model and differ in the file" in said


@pytest.mark.parametrize("kind", [Renamed, RenamedByHook, RenamedByMethod])
@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_modules_that_rename_keys_decide_themselves(tmp_path, kind, prefix):
    source, target = kind(), kind()
    old = {prefix + name.replace("body.", "trunk."): v for name, v in source.state_dict().items()}
    torch.save({"state_dict": old}, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert weights_fingerprint(target) == weights_fingerprint(source)


def test_a_module_inside_that_renames(tmp_path):
    source, target = (nn.ModuleDict({"net": Renamed(), "fc": nn.Linear(3, 2)}) for _ in range(2))
    old = {name.replace("body.", "trunk."): v for name, v in source.state_dict().items()}
    torch.save(old, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert weights_fingerprint(target) == weights_fingerprint(source)


@pytest.mark.parametrize("prefix", ["", "module.", "net."])
def test_versions_of_modules_come_along(tmp_path, prefix):
    source, target = Versioned(), Versioned()
    state = source.state_dict()
    if prefix:
        state = nn.ModuleDict({prefix[:-1]: source}).state_dict()
    torch.save(state, tmp_path / "new.pt")
    load_weights(target, tmp_path / "new.pt")
    assert torch.equal(target.weight, source.weight)
    torch.save({f"{prefix}weight": source.weight.detach().T}, tmp_path / "old.pt")
    load_weights(target, tmp_path / "old.pt")
    assert torch.equal(target.weight, source.weight)


def test_a_module_that_reshapes_decides_itself(refused, tmp_path):
    source, target = Reshaped(), Reshaped()
    torch.save({"conv.weight": source.conv.weight.detach().flatten(1)}, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert torch.equal(target.conv.weight, source.conv.weight)
    torch.save({"conv.weight": torch.zeros(2, 5)}, tmp_path / "w.pt")
    assert "conv.weight: file [2, 5] float32" in refused(target, tmp_path / "w.pt")


def test_old_norms_of_weights_fit_the_new_ones(tmp_path):
    new = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    state = {
        "bias": torch.ones(2), "weight_g": torch.full((2, 1), 5.0),
        "weight_v": torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]),
    }  # fmt: skip
    torch.save(state, tmp_path / "w.pt")
    load_weights(new, tmp_path / "w.pt")
    # 5 * v / |v| by hand
    assert torch.allclose(new.weight, torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 5.0]]))


def test_what_modules_save_beside_tensors(tmp_path):
    source, target = Extra(), Extra()
    source.seen = 7
    torch.save({"model": source.state_dict()}, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert target.seen == 7
    save_file(source.fc.state_dict(prefix="fc."), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"1 missing \(_extra_state\)"):
        load_weights(target, tmp_path / "w.safetensors")


def test_lazy_layers(tmp_path):
    source, target = nn.Sequential(nn.Linear(3, 2)), nn.Sequential(nn.LazyLinear(2))
    torch.save({f"module.{n}": v for n, v in source.state_dict().items()}, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert torch.equal(target[0].weight, source[0].weight)


@pytest.mark.parametrize("ordered", [False, True])
def test_files_without_counters(source, target, tmp_path, ordered):
    """Dropped from a plain dict, and from one that says of which version its modules are."""
    state = source.state_dict()
    for name in [name for name in state if name.endswith("num_batches_tracked")]:
        del state[name]
    torch.save(state if ordered else dict(state), tmp_path / "w.pt")
    save_file(dict(state), tmp_path / "w.safetensors")
    for file in ("w.pt", "w.safetensors"):
        load_weights(target, tmp_path / file)
        assert weights_fingerprint(target) == weights_fingerprint(source)


def test_counters_that_were_averaged_or_halved(source, target, tmp_path):
    state = dict(source.state_dict())
    state["layer1.bn.num_batches_tracked"] = torch.tensor(1234.5)
    state["layer2.bn.num_batches_tracked"] = torch.tensor([7.0], dtype=torch.half)
    torch.save(state, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert target.layer1.bn.num_batches_tracked.item() == 1234
    assert target.layer2.bn.num_batches_tracked.shape == ()
    assert target.layer2.bn.num_batches_tracked.item() == 7


@pytest.mark.parametrize(("kept", "wanted"), [((), (1,)), ((1,), ())])
def test_one_number_with_or_without_a_dimension(tmp_path, kept, wanted):
    module = nn.Module()
    module.scale = nn.Parameter(torch.zeros(wanted))
    torch.save({"scale": torch.full(kept, 3.0)}, tmp_path / "w.pt")
    load_weights(module, tmp_path / "w.pt")
    assert module.scale.shape == wanted
    assert module.scale.item() == 3


def test_many_numbers_are_not_one(refused, tmp_path):
    """Where `load_state_dict` takes the first of them without a word."""
    module = nn.Module()
    module.scale = nn.Parameter(torch.zeros(()))
    torch.save({"scale": torch.ones(5)}, tmp_path / "w.pt")
    assert "scale: file [5] float32, model [] float32" in refused(module, tmp_path / "w.pt")


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16, torch.float64])
def test_other_precisions_become_the_models_own(source, target, tmp_path, dtype):
    state = {n: v.to(dtype) if v.is_floating_point() else v for n, v in source.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert target.fc.weight.dtype == torch.float32
    assert torch.equal(target.fc.weight, state["fc.weight"].float())


def test_numbers_that_would_be_lost(refused, tmp_path):
    module = nn.Module()
    module.register_buffer("codes", torch.zeros(2, dtype=torch.int8))
    torch.save({"codes": torch.tensor([3.0, -4.0])}, tmp_path / "whole.pt")
    load_weights(module, tmp_path / "whole.pt")
    assert module.codes.tolist() == [3, -4]
    torch.save({"codes": torch.tensor([0.25, 300.0])}, tmp_path / "w.pt")
    assert "1 would lose their values (codes: file [2] float32" in refused(
        module, tmp_path / "w.pt"
    )
    module = nn.Linear(1, 1, bias=False)
    torch.save({"weight": torch.tensor([[1j]])}, tmp_path / "w.pt")
    assert "1 would lose their values" in refused(module, tmp_path / "w.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(source, target, refused, tmp_path, value):
    source.fc.weight.data[0, 0] = value
    source.layer1.bn.running_mean[0] = float("nan")
    torch.save({"model": source.state_dict()}, tmp_path / "w.pt")
    said = refused(target, tmp_path / "w.pt")
    assert "2 hold values that are not finite (layer1.bn.running_mean, fc.weight)" in said


def test_a_number_too_large_for_the_models_halves(refused, tmp_path):
    torch.save({"weight": torch.tensor([[1e6]])}, tmp_path / "w.pt")
    said = refused(nn.Linear(1, 1, bias=False).half(), tmp_path / "w.pt")
    assert "1 hold values that are not finite (weight)" in said


def test_infinity_in_a_mask_is_right(tmp_path):
    def masked() -> nn.Module:
        module = nn.Module()
        module.register_buffer("mask", torch.full((2, 2), float("-inf")).triu(1))
        module.bias = nn.Parameter(torch.tensor([0.0, float("-inf")]))
        return module

    source, target = masked(), masked()
    source.bias.data[0] = 5
    torch.save(source.state_dict(), tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert target.bias.tolist() == [5, float("-inf")]


def test_sparse_tensors_do_not_fit(source, target, refused, tmp_path):
    state = dict(source.state_dict())
    state["fc.weight"] = state["fc.weight"].to_sparse()
    torch.save(state, tmp_path / "w.pt")
    assert "fc.weight: file [3, 8] float32, sparse_coo" in refused(target, tmp_path / "w.pt")


def test_loading_keeps_layout_and_identity(source, target, tmp_path):
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    target.to(memory_format=torch.channels_last)
    weight = target.layer2.conv.weight
    load_weights(target, tmp_path / "w.safetensors")
    assert target.layer2.conv.weight is weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_other_classes_offer_a_new_head(target, refused, tmp_path):
    thousand = build_model("convnet-4-8", classes=1000)
    torch.save({"model": thousand.state_dict()}, tmp_path / "w.pt")
    said = refused(target, tmp_path / "w.pt")
    assert "is for 1000 classes (fc), the model for 3" in said
    assert "weights_head: new" in said
    assert "new_head='fc'" in said
    fresh = target.fc.weight.clone()
    said = str(load_weights(target, tmp_path / "w.pt", new_head="fc"))
    assert said == (
        "weights of w.pt under 'model' with a new classifier (fc), which has to be trained"
    )
    assert torch.equal(target.fc.weight, fresh)
    assert torch.equal(target.layer2.conv.weight, thousand.layer2.conv.weight)


def test_a_new_head_in_place_of_one_that_would_fit(source, target, tmp_path):
    torch.save(source.state_dict(), tmp_path / "w.pt")
    fresh = target.fc.weight.clone()
    load_weights(target, tmp_path / "w.pt", new_head="fc")
    assert torch.equal(target.fc.weight, fresh)
    assert torch.equal(target.layer1.conv.weight, source.layer1.conv.weight)


def test_a_new_head_of_a_file_that_has_none_or_two(tmp_path):
    def two(classes: int) -> nn.Module:
        parts = {"body": nn.Linear(4, 4), "head": nn.Linear(4, classes)}
        return nn.ModuleDict({**parts, "head_dist": nn.Linear(4, classes)})

    source, target = two(1000), two(10)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt", new_head="head")
    assert torch.equal(target["body"].weight, source["body"].weight)
    body = {name: v for name, v in source.state_dict().items() if name.startswith("body.")}
    torch.save({f"backbone.{name}": v for name, v in body.items()}, tmp_path / "body.pt")
    alone, made = nn.ModuleDict({"body": nn.Linear(4, 4), "fc": nn.Linear(4, 3)}), source["body"]
    load_weights(alone, tmp_path / "body.pt", new_head="fc")
    assert torch.equal(alone["body"].weight, made.weight)
