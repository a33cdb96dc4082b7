"""Shared weights: k-means by hand and by scikit-learn, bits, gradients, files, what is refused."""

import copy
import json

import pytest
import torch
from safetensors.torch import load, save
from sklearn.cluster import KMeans
from tiny import tiny_net
from torch import nn

from stillhouse.errors import ModelError
from stillhouse.models import build_model
from stillhouse.students import is_shared, measured, shared, unshared, with_codebooks
from stillhouse.students.k_means import k_means, packed, unpacked


def by_hand(values: list[float], entries: int) -> tuple[list[float], list[int]]:
    """Lloyd's algorithm as it is written in textbooks, one number and one centre at a time."""
    low, high = min(values), max(values)
    centres = [low + (high - low) * at / max(1, entries - 1) for at in range(entries)]
    while True:
        nearest = [min(range(entries), key=lambda k: abs(v - centres[k])) for v in values]
        moved = list(centres)
        for k in range(entries):
            mine = [value for value, at in zip(values, nearest, strict=True) if at == k]
            moved[k] = sum(mine) / len(mine) if mine else centres[k]
        if moved == centres:
            return centres, nearest
        centres = moved


@pytest.mark.parametrize(("count", "entries"), [(30, 1), (40, 2), (150, 4), (150, 16), (20, 32)])
def test_k_means_is_that_of_a_loop(count: int, entries: int) -> None:
    values = torch.randn(count, generator=torch.Generator().manual_seed(count)).double()
    centres, indices = k_means(values, entries)
    wanted, nearest = by_hand(values.tolist(), entries)
    torch.testing.assert_close(centres, torch.tensor(wanted, dtype=torch.float64))
    assert indices.tolist() == nearest


def test_k_means_is_that_of_scikit_learn_from_the_same_start() -> None:
    values = torch.randn(2000, generator=torch.Generator().manual_seed(0)).double() ** 3
    centres, indices = k_means(values, 8)
    start = torch.linspace(values.min(), values.max(), 8, dtype=torch.float64)[:, None].numpy()
    theirs = KMeans(8, init=start, n_init=1, tol=0, max_iter=1000, algorithm="lloyd")
    labels = theirs.fit_predict(values[:, None].numpy())
    their_centres = torch.tensor(theirs.cluster_centers_[:, 0])
    found, wanted = (
        float((values - c[at]).pow(2).sum())
        for c, at in ((centres, indices), (their_centres, labels))
    )
    assert found <= wanted * (1 + 1e-9)  # they move an empty centre elsewhere
    assert (centres.diff() > 0).all()


@pytest.mark.parametrize("bits", range(1, 9))
def test_indices_are_packed_without_a_gap(bits: int) -> None:
    indices = torch.randint(0, 2**bits, (37,), generator=torch.Generator().manual_seed(bits))
    content = packed(indices, bits)
    assert len(content) == (37 * bits + 7) // 8
    number = int.from_bytes(bytes(content.tolist()), "little")  # one long number, lowest bits first
    assert [(number >> (at * bits)) % 2**bits for at in range(37)] == indices.tolist()
    assert torch.equal(unpacked(content, bits, 37).long(), indices)


def test_weights_are_the_nearest_values_and_the_rest_stays() -> None:
    net = tiny_net(16)
    made = shared(net, bits=3)
    assert [change.path for change in made.changes] == ["conv"]
    assert [kept.path for kept in made.kept] == ["fc"]
    conv = made.module.conv
    assert isinstance(conv, nn.Conv2d)
    gaps = (net.conv.weight.flatten()[:, None] - conv.codebook).abs()
    assert torch.equal(conv.weight.flatten(), conv.codebook[gaps.argmin(1)])
    assert dict(made.module.named_parameters()).keys() == {
        "conv.codebook", "conv.bias", "bn.weight", "bn.bias", "fc.weight", "fc.bias"
    }  # fmt: skip
    assert type(net.conv) is nn.Conv2d
    assert made.module.conv.extra_repr().endswith("3 bits a weight")


def test_the_gradient_of_an_entry_is_the_sum_of_those_of_its_weights() -> None:
    made = shared(tiny_net(16), bits=2, keep=[]).module.double()
    plain = unshared(made)
    image = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    for net in (made, plain):
        net(image).logsumexp(1).sum().backward()
    for path in ("conv", "fc"):
        layer, twin = made.get_submodule(path), plain.get_submodule(path)
        wanted = [0.0] * 4
        for at, slope in zip(layer.indices.tolist(), twin.weight.grad.flatten(), strict=True):
            wanted[at] += float(slope)
        assert layer.codebook.grad.tolist() == pytest.approx(wanted, abs=1e-12)
        assert torch.allclose(layer.bias.grad, twin.bias.grad)


@pytest.mark.parametrize("bits", [1, 4, 5])
def test_the_file_is_as_large_as_arithmetic_says(bits: int) -> None:
    net = build_model("resnet8", classes=10, channels=3, size=32)
    made = shared(net, bits=bits)
    names = {f"{change.path}.weight" for change in made.changes}
    assert "layer2.0.downsample.0.weight" in names, "strided 1x1 convolutions too"
    state = net.state_dict()
    others = sum(v.numel() * v.element_size() for name, v in state.items() if name not in names)
    weights = sum(-(-state[name].numel() * bits // 8) + 4 * 2**bits for name in names)
    content = save({name: v.contiguous() for name, v in made.module.state_dict().items()})
    header = int.from_bytes(content[:8], "little")
    assert json.loads(content[8 : 8 + header])["conv1.packed"]["dtype"] == "U8"
    assert len(content) - 8 - header == others + weights


def test_its_costs_are_those_of_its_file_and_of_the_weights_themselves() -> None:
    net = tiny_net(32)
    made = shared(net, bits=4).module
    found, before = measured([made, net], [(3, 8, 8)] * 2, seconds=0)
    assert found.file_bytes == len(save(made.state_dict())) < before.file_bytes
    assert (found.macs, found.parameters) == (before.macs, before.parameters - 864 + 16)


def test_what_is_stored_comes_back_bit_by_bit() -> None:
    made = shared(tiny_net(16, seed=1), bits=4, keep=[]).module
    with torch.no_grad():
        made.conv.codebook.mul_(1.5)  # as after training
    content = save(made.state_dict())
    image = torch.rand(2, 3, 8, 8)
    wanted = made.eval()(image)
    other = shared(tiny_net(16, seed=2), bits=4, keep=[]).module  # of other indices
    named = with_codebooks(tiny_net(16, seed=3), load(content))
    for net in (other, named):
        net.load_state_dict(load(content))
        assert is_shared(net)
        assert torch.equal(net.eval()(image), wanted)
        assert torch.equal(unshared(net)(image), wanted)
        assert torch.equal(copy.deepcopy(net)(image), wanted)


def test_layers_that_would_not_be_smaller_stay_with_the_reason() -> None:
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 8, 3, groups=2), nn.Linear(8, 2))
    made = shared(net.half(), bits=4)
    assert {kept.path: kept.why for kept in made.kept} == {
        "0": "a codebook of 16 would not be smaller than 4 weights", "2": "asked for"
    }  # fmt: skip
    assert made.module[1].codebook.dtype == torch.float16


def test_frozen_weights_stay_frozen() -> None:
    net = tiny_net(16)
    net.conv.weight.requires_grad_(False)
    made = shared(net, bits=2).module
    assert not made.conv.codebook.requires_grad
    assert not unshared(made).conv.weight.requires_grad


@pytest.mark.parametrize("bits", [0, 9])
def test_other_numbers_of_bits_are_refused(bits: int) -> None:
    with pytest.raises(ModelError, match=f"bits is {bits}; an index has 1 to 8"):
        shared(tiny_net(), bits=bits)


def test_weights_that_are_not_finite_are_refused() -> None:
    net = tiny_net(16)
    with torch.no_grad():
        net.conv.weight[0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        shared(net, bits=4)


def test_a_file_of_another_network_is_refused() -> None:
    state = shared(tiny_net(16), bits=4).module.state_dict()
    with pytest.raises(ModelError, match="'conv' has 864 weights"):
        with_codebooks(tiny_net(32), state)
    with pytest.raises(ModelError, match=r"'conv\.codebook' is no codebook of a layer of Linear"):
        with_codebooks(nn.Linear(2, 2), state)
    with pytest.raises(ModelError, match="no codebook"):
        with_codebooks(tiny_net(16), {**state, "conv.codebook": torch.zeros(15)})
