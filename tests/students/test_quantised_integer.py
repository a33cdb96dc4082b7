"""The int8 network: exact integer sums, folded norms, its file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.errors import WeightsError
from stillhouse.models import build_model, describe
from stillhouse.students.quantised import converted, load_integer, quantised
from stillhouse.students.quantised.integer import IntegerLayer
from stillhouse.students.quantised.norms import norms_after

IMAGE = torch.zeros(1, 3, 8, 8)


def used(net: nn.Module, seed: int = 0, size: int = 8) -> nn.Module:
    """A rounding network that has seen three batches, with batch norms that do something."""
    made = quantised(net, torch.zeros(1, 3, size, size)).train()
    torch.manual_seed(seed)
    with torch.no_grad():
        for part in made.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.copy_(torch.randn(part.num_features))  # of either sign
                part.bias.copy_(torch.randn(part.num_features))
        for _ in range(3):
            made(torch.randn(8, 3, size, size))
    return made.eval()


def whole_numbers(codes: Tensor, weight: Tensor, conv: nn.Conv2d) -> Tensor:
    """A convolution of integers, one place of the kernel after the other."""
    codes, weight = codes.long(), weight.long()
    (kh, kw), (dh, dw), (sh, sw) = conv.kernel_size, conv.dilation, conv.stride
    edges = conv.padding
    if edges == "same":
        edges = (dh * (kh - 1) // 2, dw * (kw - 1) // 2)
    padded = nn.functional.pad(codes, (edges[1], edges[1], edges[0], edges[0]))
    height = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    outputs, inputs = weight.shape[0] // conv.groups, weight.shape[1]
    sums = torch.zeros(len(codes), weight.shape[0], height, width, dtype=torch.int64)
    for g in range(conv.groups):
        mine = slice(g * outputs, (g + 1) * outputs)
        for i in range(kh):
            for j in range(kw):
                seen = padded[:, g * inputs : (g + 1) * inputs, i * dh :: sh, j * dw :: sw]
                seen = seen[:, :, :height, :width]
                products = seen[:, None] * weight[mine, :, i, j][None, :, :, None, None]
                sums[:, mine] += products.sum(2)
    return sums


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(16, 8, 3, padding=1),
        nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16, bias=False),
        nn.Conv2d(16, 8, 1, stride=2),
        nn.Conv2d(16, 8, 3, dilation=2, padding="same"),
    ],
    ids=["plain", "depthwise", "skipping", "dilated"],
)
def test_sums_are_those_of_integer_arithmetic(conv: nn.Conv2d, carrier: torch.dtype) -> None:
    """Each accumulator equals a convolution of whole numbers, bit for bit."""
    made = quantised(nn.Sequential(conv), torch.zeros(1, 16, 9, 9)).train()
    x = 3 * torch.randn(4, 16, 9, 9) + 1
    made(x)
    layer = converted(made)[0]
    assert isinstance(layer, IntegerLayer)
    layer.carrier = carrier
    codes = ((x / layer.step).round() + layer.zero).clamp(0, 255).to(torch.int32) - layer.zero
    assert codes.min() < 0 < codes.max()
    sums = whole_numbers(codes, layer.weight, conv)
    assert sums.dtype == torch.int64
    shape = (-1, 1, 1)
    wanted = sums.float() * layer.scale.view(shape) + layer.bias.view(shape)
    assert torch.equal(layer(x), wanted)


def test_a_layer_too_large_for_float32_takes_float64() -> None:
    wide = quantised(nn.Sequential(nn.Linear(1024, 2)), torch.zeros(1, 1024)).train()
    with torch.no_grad():
        wide[0].weight.fill_(1.0)
        wide(torch.rand(4, 1024))
    layer = converted(wide)[0]
    assert layer.carrier == torch.float64, "1024 * 127 * 255 is more than 2^24"
    x = torch.rand(64, 1024)
    codes = ((x / layer.step).round() + layer.zero).clamp(0, 255).long() - layer.zero
    sums = codes @ layer.weight.long().T
    assert sums.max() > 2**24
    assert torch.equal(layer(x), sums.float() * layer.scale + layer.bias)
    narrow = converted(used(tiny_net()))
    assert narrow.conv.carrier == narrow.fc.carrier == torch.float32


def test_a_norm_is_folded_into_what_it_reads() -> None:
    net = used(tiny_net(4, 1))
    made = converted(net)
    assert isinstance(made.bn, nn.Identity)
    x = torch.randn(6, 3, 8, 8)
    layer = made.conv
    steps = net.conv.weight.double().abs().amax((1, 2, 3)) / 127
    assert torch.equal(
        layer.weight.double(), (net.conv.weight.double() / steps.view(-1, 1, 1, 1)).round()
    )
    factor = net.bn.weight.double() / (net.bn.running_var.double() + net.bn.eps).sqrt()
    torch.testing.assert_close(layer.scale.double(), layer.step.double() * steps * factor)
    assert (layer.scale < 0).any(), "a norm may change the sign of a channel"
    with torch.no_grad():
        torch.testing.assert_close(layer(x), net.bn(net.conv(x)), rtol=1e-4, atol=1e-5)


class Net(nn.Module):
    """One convolution, one norm, and somebody who may read between them."""

    def __init__(self, between: str) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.between = between

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.conv(image)
        if self.between == "sum":
            return self.bn(x) + x
        if self.between == "in place":
            return self.bn(x.relu_())
        if self.between == "copy":
            return self.bn(x * 1)
        if self.between == "returned":
            return self.bn(x), x
        if self.between == "twice":
            return self.bn(x) + self.bn(self.conv(image))
        if self.between == "shape":
            return self.bn(x).reshape(x.shape[0], -1)
        return self.bn(x)


@pytest.mark.parametrize(
    ("between", "folds"),
    [("nobody", True), ("shape", True), ("sum", False), ("in place", False), ("copy", False),
     ("returned", False), ("twice", False)],
)  # fmt: skip
def test_a_norm_is_folded_only_if_nobody_else_reads(between: str, folds: bool) -> None:
    net = Net(between).eval()
    assert bool(norms_after(net, ["conv"], IMAGE)) == folds
    assert not net.conv._forward_hooks, "no hook is left"
    rounding = used(net)
    x = torch.randn(5, 3, 8, 8)
    with torch.no_grad():
        mine, theirs = rounding(x), converted(rounding)(x)
    if between == "returned":
        mine, theirs = mine[0], theirs[0]
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


class OverTokens(nn.Module):
    """A batch norm of dimension 1, which are the tokens, behind a layer whose outputs come last."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.linear, self.bn = nn.Linear(6, outputs), nn.BatchNorm1d(6)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.bn(self.linear(tokens))


@pytest.mark.parametrize("outputs", [6, 8])
def test_a_norm_over_another_dimension_than_the_outputs_stays(outputs: int) -> None:
    net, tokens = OverTokens(outputs), torch.randn(50, 6, 6)
    assert not norms_after(net.eval(), ["linear"], tokens)
    rounding = quantised(net, tokens[:1]).train()
    for part in tokens.split(10):
        rounding(part)
    with torch.no_grad():
        mine, theirs = rounding.eval()(tokens), converted(rounding)(tokens)
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


def test_a_norm_without_statistics_stays() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    assert not norms_after(net.eval(), ["0"], IMAGE)


def test_the_file_is_a_quarter_and_comes_back(tmp_path: Path) -> None:
    """What is read back answers with the same bits, and needs no trained network to be read."""
    net = used(build_model("resnet8", classes=10), size=32)
    made = converted(net)
    mine, floats = describe(made).bytes, describe(build_model("resnet8", classes=10)).bytes
    assert mine < 0.28 * floats
    save_file(made.state_dict(), tmp_path / "int8.safetensors")
    assert (tmp_path / "int8.safetensors").stat().st_size < 0.3 * floats
    fresh = quantised(build_model("resnet8", classes=10), torch.zeros(1, 3, 32, 32))
    again = load_integer(fresh, tmp_path / "int8.safetensors")
    x = torch.randn(4, 3, 32, 32)
    assert torch.equal(made(x), again(x))
    carriers = [
        [p.carrier for p in n.modules() if isinstance(p, IntegerLayer)] for n in (made, again)
    ]
    assert carriers[0] == carriers[1]
    kinds = {value.dtype for name, value in load_file(tmp_path / "int8.safetensors").items()
             if name.endswith("conv1.weight")}  # fmt: skip
    assert kinds == {torch.int8}


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    save_file(converted(used(tiny_net(4))).state_dict(), tmp_path / "int8.safetensors")
    with pytest.raises(WeightsError, match="does not fit"):
        load_integer(quantised(tiny_net(5), IMAGE), tmp_path / "int8.safetensors")
    save_file(tiny_net(4).state_dict(), tmp_path / "float.safetensors")
    with pytest.raises(WeightsError, match="does not fit"):
        load_integer(quantised(tiny_net(4), IMAGE), tmp_path / "float.safetensors")
