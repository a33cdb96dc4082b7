"""Factors against numpy's singular values; whole networks at full and at lower ranks."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse.errors import ModelError
from stillhouse.models import build_model, weights_fingerprint
from stillhouse.students.derived import numbers
from stillhouse.students.low_rank import as_matrix, factorise, low_rank, rank_of_energy

CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 2, "dilation": 2, "stride": 2},
    {"kernel_size": (3, 5), "padding": (0, 2), "stride": (2, 1), "bias": False},
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": 3, "padding": 1, "padding_mode": "circular"},
    {"kernel_size": 3, "padding": 2, "padding_mode": "reflect", "stride": 2},
    {"kernel_size": 1, "stride": 2},
]


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=str)
def test_a_convolution_at_full_rank_is_itself(settings: dict, scheme: str) -> None:
    layer = nn.Conv2d(5, 7, **settings)
    image = torch.randn(3, 5, 11, 9)
    made = factorise(layer, min(as_matrix(layer, scheme).shape), scheme=scheme)
    torch.testing.assert_close(made(image), layer(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_at_full_rank_is_itself(bias: bool) -> None:
    layer, rows = nn.Linear(9, 6, bias=bias), torch.randn(4, 9)
    torch.testing.assert_close(factorise(layer, 6)(rows), layer(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 3])
def test_a_linear_at_a_rank_is_the_closest_matrix(rank: int) -> None:
    layer = nn.Linear(9, 6)
    made = factorise(layer, rank)
    product = (made.expand.weight @ made.reduce.weight).detach().numpy()
    u, s, v = np.linalg.svd(layer.weight.detach().numpy().astype(np.float64))
    closest = sum(s[i] * np.outer(u[:, i], v[i]) for i in range(rank))
    np.testing.assert_allclose(product, closest, atol=1e-6)
    distance = np.linalg.norm(product - layer.weight.detach().numpy())
    assert distance**2 == pytest.approx((s[rank:] ** 2).sum(), rel=1e-5)


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_a_convolution_at_a_rank_is_the_closest_kernel(scheme: str) -> None:
    """The kernel of the pair, from its answer to an impulse, against one written index by index."""
    layer = nn.Conv2d(4, 6, 3, bias=False)
    w = layer.weight.detach().double().numpy()
    if scheme == "channel":
        matrix = np.array([[w[o, i, y, x] for i, y, x in np.ndindex(4, 3, 3)] for o in range(6)])
    else:
        matrix = np.array(
            [[w[o, i, y, x] for i, y in np.ndindex(4, 3)] for o, x in np.ndindex(6, 3)]
        )
    s = np.linalg.svd(matrix, compute_uv=False)
    made = factorise(layer, 2, scheme=scheme)
    impulses = torch.zeros(4, 4, 5, 5)
    for i in range(4):
        impulses[i, i, 2, 2] = 1
    with torch.no_grad():
        kernel = made(impulses).flip(2, 3).transpose(0, 1).double().numpy()
    assert ((kernel - w) ** 2).sum() == pytest.approx((s[2:] ** 2).sum(), rel=1e-5)


def test_energy_is_the_share_of_squares_and_the_rank_no_larger_than_it_must_be() -> None:
    singular = torch.randn(20).abs().sort(descending=True).values.double()
    squares = (singular**2).tolist()
    for energy in (0.3, 0.8, 0.99):
        rank = rank_of_energy(singular, energy)
        assert sum(squares[:rank]) >= energy * sum(squares) > sum(squares[: rank - 1])
    assert rank_of_energy(singular, 1.0) == 20
    assert rank_of_energy(torch.zeros(3), 0.5) == 1


@pytest.mark.parametrize("name", ["resnet8w16", "wrn_16_1", "convnet-8-16-32", "mlp-64-32"])
@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_a_ratio_bounds_the_weights_of_each_layer(name: str, scheme: str) -> None:
    teacher = build_model(name, classes=10, size=16)
    made = low_rank(teacher, ratio=0.5, scheme=scheme)
    assert made.changes
    for change in made.changes:
        layer, pair = teacher.get_submodule(change.path), made.module.get_submodule(change.path)
        bias = 0 if layer.bias is None else layer.bias.numel()
        assert numbers(pair) - bias <= 0.5 * layer.weight.numel()
        assert (change.before, change.after) == (numbers(layer), numbers(pair))
    assert isinstance(made.module.fc, nn.Linear), "the classifier stays"
    assert made.module(torch.randn(2, 3, 16, 16)).shape == (2, 10)


def test_what_is_kept_is_told_and_stays_the_same() -> None:
    teacher = build_model("resnet8", classes=10)
    before = weights_fingerprint(teacher)
    made = low_rank(teacher, energy=1.0)
    why = {kept.path: kept.why for kept in made.kept}
    assert why["fc"] == "asked for"
    assert why["layer1.0.conv1"] == "rank 16 of 16 would not be smaller"
    assert not made.changes
    assert weights_fingerprint(made.module) == before == weights_fingerprint(teacher)
    narrow = low_rank(build_model("resnet8w8", classes=10), rank=1)
    why = {kept.path: kept.why for kept in narrow.kept}
    assert why["layer2.0.downsample.0"] == "its class SkippingPointwise may compute anything"


def test_grouped_and_tied_layers_are_kept() -> None:
    net = nn.Sequential(nn.Conv2d(8, 8, 3, groups=4), nn.Linear(8, 8), nn.Linear(8, 8))
    net[2].weight = net[1].weight
    made = low_rank(net, rank=1, keep=[])
    assert not made.changes
    assert [kept.why for kept in made.kept] == [
        "its 4 groups make it thin already",
        *["another module has its weight too"] * 2,
    ]


@pytest.mark.parametrize("path", ["a", "b.0"])
def test_a_shared_layer_is_kept_by_either_path(path: str) -> None:
    net = nn.Module()
    net.a = nn.Linear(8, 8)
    net.b = nn.Sequential(net.a)
    made = low_rank(net, rank=2, keep=[path])
    assert not made.changes
    assert made.module.b[0] is made.module.a


def test_layers_whose_weights_attention_reads_itself_are_kept() -> None:
    encoder = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    net = nn.Sequential(encoder, nn.Linear(16, 16))
    made = low_rank(net, rank=2, keep=[])
    assert [change.path for change in made.changes] == ["1"]
    whys = {kept.path: kept.why for kept in made.kept}
    assert whys["0.linear1"] == "the attention around it reads its weight itself"
    with torch.no_grad():
        assert made.module.eval()(torch.zeros(2, 5, 16)).shape == (2, 5, 16)


def test_a_layer_with_two_paths_is_one_layer_still() -> None:
    shared = nn.Linear(16, 16)
    made = low_rank(nn.Sequential(shared, nn.ReLU(), shared), rank=2, keep=[])
    assert made.module[0] is made.module[2]
    assert len(made.changes) == 1


def test_the_student_is_deterministic_and_near_the_teacher() -> None:
    """With nearly all of the energy its answers are nearly those of the teacher."""
    teacher = build_model("resnet8w16", classes=10).eval()
    with torch.no_grad():
        for part in teacher.modules():
            if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3):
                u, s, v = torch.linalg.svd(part.weight.flatten(1), full_matrices=False)
                decaying = s * 0.5 ** torch.arange(len(s))
                part.weight.copy_((u @ decaying.diag() @ v).reshape(part.weight.shape))
    image = torch.randn(4, 3, 16, 16)
    first, second = (low_rank(copy.deepcopy(teacher), energy=0.9999) for _ in range(2))
    assert first.changes
    assert weights_fingerprint(first.module) == weights_fingerprint(second.module)
    distance = (first.module(image) - teacher(image)).norm() / teacher(image).norm()
    assert distance < 0.05


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "got none"),
        ({"rank": 2, "ratio": 0.5}, "got rank and ratio"),
        ({"ratio": 1.0}, "ratio is 1.0"),
        ({"energy": 1.5}, "energy is 1.5"),
        ({"rank": 0}, "rank is 0"),
        ({"rank": 2, "keep": ["fcc"]}, "no module 'fcc'; nearest: fc"),
    ],
    ids=str,
)
def test_what_cannot_be_asked(settings: dict, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        low_rank(build_model("convnet-8-16", classes=10), **settings)
