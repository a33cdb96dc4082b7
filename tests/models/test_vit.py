"""Vision transformers: sizes of the literature, the formulas, both tokens."""

import math

import pytest
import torch
from torch import nn

from stillhouse.deploy.program import export
from stillhouse.errors import ModelError
from stillhouse.models import build_model, describe
from stillhouse.models.vit import VisionTransformer


@pytest.mark.parametrize(("name", "parameters"), [("vit", 5_717_416), ("deit", 5_910_800)])
def test_parameters_are_those_of_deit_tiny(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = build_model(f"{name}-192-12-3-p16", classes=1000, size=224)
    assert describe(network).parameters == parameters


@pytest.mark.parametrize(("size", "tokens"), [(28, 49), (32, 64)])
def test_patches_divide_the_sizes_of_the_small_sets(size: int, tokens: int) -> None:
    network = build_model("vit-8-1-2", classes=3, channels=1, size=size).eval()
    seen = []
    network.layer1.register_forward_hook(lambda *call: seen.append(tuple(call[2].shape)))
    assert network(torch.zeros(2, 1, size, size)).shape == (2, 3)
    assert seen == [(2, 1 + tokens, 8)]
    wider = build_model("deit-8-1-2-p14", classes=3, channels=1, size=28)
    assert wider.tokens.positions.shape == (1, 2 + 4, 8)


def layer_norm(x: list[float], layer: nn.LayerNorm) -> list[float]:
    mean = math.fsum(x) / len(x)
    variance = math.fsum((v - mean) ** 2 for v in x) / len(x)
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [
        (v - mean) / math.sqrt(variance + 1e-6) * w + b
        for v, w, b in zip(x, weight, bias, strict=True)
    ]


def linear(x: list[float], layer: nn.Linear) -> list[float]:
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [math.fsum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in rows]


def added(x: list[float], y: list[float]) -> list[float]:
    return [a + b for a, b in zip(x, y, strict=True)]


def attended(tokens: list[list[float]], layer: nn.Module, heads: int) -> list[list[float]]:
    width = len(tokens[0])
    deep = width // heads
    mixed = [linear(token, layer.qkv) for token in tokens]
    gathered = [[0.0] * width for _ in tokens]
    for head in range(heads):
        q, k, v = (
            [row[part * width + head * deep : part * width + (head + 1) * deep] for row in mixed]
            for part in range(3)
        )
        for at, query in enumerate(q):
            powers = [
                math.exp(
                    math.fsum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(deep)
                )
                for key in k
            ]
            for d in range(deep):
                total = math.fsum(p * row[d] for p, row in zip(powers, v, strict=True))
                gathered[at][head * deep + d] = total / math.fsum(powers)
    return [linear(token, layer.out) for token in gathered]


def by_hand(network: VisionTransformer, image: torch.Tensor, heads: int) -> list[list[float]]:
    """The tokens after the last norm."""
    side = network.patch.kernel_size[0]
    tokens = network.tokens.learned[0].tolist()
    kernel = network.patch.weight.flatten(1)
    for row in range(0, image.shape[1], side):
        for column in range(0, image.shape[2], side):
            piece = image[:, row : row + side, column : column + side].flatten()
            tokens.append((kernel @ piece + network.patch.bias).tolist())
    places = network.tokens.positions[0].tolist()
    tokens = [added(token, place) for token, place in zip(tokens, places, strict=True)]
    for index in range(network.depth):
        block = network.get_submodule(f"layer{index + 1}")
        normed = [layer_norm(token, block.norm1) for token in tokens]
        tokens = [added(a, b) for a, b in zip(tokens, attended(normed, block.attention, heads),
                                              strict=True)]  # fmt: skip
        for at, token in enumerate(tokens):
            inner = linear(layer_norm(token, block.norm2), block.mlp[0])
            bent = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in inner]
            tokens[at] = added(token, linear(bent, block.mlp[2]))
    return [layer_norm(token, network.norm) for token in tokens]


@pytest.mark.parametrize("distilled", [False, True])
def test_forward_equals_the_formulas(distilled: bool) -> None:
    torch.manual_seed(0)
    network = VisionTransformer(
        size=8, width=6, depth=2, heads=3, classes=4, channels=2, distilled=distilled
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.5)
        image = torch.randn(1, 2, 8, 8, dtype=torch.float64)
        tokens = by_hand(network, image[0], heads=3)
        if distilled:
            own, other = linear(tokens[0], network.fc.own), linear(tokens[1], network.fc.distilled)
            wanted = [v / 2 for v in added(own, other)]
        else:
            wanted = linear(tokens[0], network.fc)
        assert network(image)[0].tolist() == pytest.approx(wanted, rel=1e-9)


def test_the_mean_of_both_heads_is_the_logits_in_either_mode() -> None:
    network = build_model("deit-8-2-2", classes=5, size=8)
    seen = {}
    for name in ("fc", "fc.own", "fc.distilled"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, inputs, out, name=name: seen.update({name: (inputs[0], out)})
        )
    for mode in (True, False):
        network.train(mode)
        logits = network(torch.randn(2, 3, 8, 8))
        torch.testing.assert_close((seen["fc.own"][1] + seen["fc.distilled"][1]) / 2, logits)
        torch.testing.assert_close(network.fc(seen["fc"][0]), logits)
        assert seen["fc"][0].shape == (2, 16)


def test_it_must_know_the_size() -> None:
    with pytest.raises(ModelError, match=r"size.*build_model\('vit-8-2-2', .*size=32\)"):
        build_model("vit-8-2-2", classes=10)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("vit-8-2-2", 30, "4x4 do not divide images of 30x30; these do: 2, 3, 5, 6, 10, 15, 30"),
        ("deit-8-2-3", 8, "3 heads of attention do not divide a width of 8"),
    ],
)
def test_what_does_not_divide_is_refused(name: str, size: int, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        build_model(name, classes=10, size=size)


def test_images_of_another_size_are_refused() -> None:
    network = build_model("vit-8-2-2", classes=10, size=8)
    with pytest.raises(ModelError, match="positions for images of 8x8, got 12x12"):
        network(torch.zeros(1, 3, 12, 12))


@pytest.mark.parametrize("name", ["vit", "deit"])
def test_it_becomes_a_program_for_batches_of_any_size(name: str) -> None:
    """`export` itself compares the answers for one image and for all."""
    network = build_model(f"{name}-8-1-2", classes=3, channels=1, size=8).eval()
    assert export(network, torch.randn(3, 1, 8, 8))
