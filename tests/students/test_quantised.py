"""A rounding network keeps its names, its random numbers and its learning; what it refuses."""

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.engine.fit import fit
from stillhouse.engine.heads import find_head
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.optimisers import adamw
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import ModelError
from stillhouse.methods import kd
from stillhouse.models import build_model
from stillhouse.students.quantised import converted, is_quantised, quantised, unrounded
from stillhouse.students.quantised.layers import QuantisedConv2d, QuantisedLinear
from stillhouse.students.quantised.network import rounding_layers, share_rounded
from stillhouse.testing.toy import IMAGES, taught, toy_batches, untaught

IMAGE = torch.zeros(1, 3, 8, 8)


def test_names_values_and_random_numbers_stay() -> None:
    net = tiny_net(4, 1)
    before = torch.get_rng_state()
    made = quantised(net, IMAGE)
    assert torch.equal(before, torch.get_rng_state())
    assert not is_quantised(net)
    assert is_quantised(made)
    assert [name for name, _ in made.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), net.parameters(), strict=True))
    assert not {p.data_ptr() for p in made.parameters()} & {p.data_ptr() for p in net.parameters()}
    assert find_head(made, who="student") == "fc"
    assert all(
        a.training == b.training for a, b in zip(made.modules(), made.modules(), strict=True)
    )
    assert share_rounded(made) == pytest.approx(
        (3 * 4 * 9 + 12) / sum(p.numel() for p in net.parameters())
    )


def test_a_layer_computes_with_rounded_numbers() -> None:
    """Convolution and linear, by hand from the definition, and the gradient of the weights."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    layer = QuantisedConv2d.of(conv, bits=8, decay=0.99)
    x = torch.randn(5, 4, 7, 7, dtype=torch.float64)
    layer.double()
    y = layer(x)
    w = conv.weight.detach().double()
    steps = w.abs().amax((1, 2, 3), keepdim=True) / 127
    rounded = ((w / steps).round() * steps).requires_grad_()
    low, high = x.min(), x.max()
    step = (high - low) / 255
    zero = (-low / step).round()
    seen = ((x / step).round() + zero).clamp(0, 255).sub(zero) * step
    wanted = nn.functional.conv2d(seen, rounded, conv.bias, 2, 1, 1, 2)
    torch.testing.assert_close(y, wanted, rtol=1e-6, atol=1e-6)  # the grid is kept in float32
    pull = torch.randn_like(y)
    (y * pull).sum().backward()
    (wanted * pull).sum().backward()
    torch.testing.assert_close(layer.weight.grad, rounded.grad, rtol=1e-5, atol=1e-5)


def test_a_strided_pointwise_convolution_skips_and_is_the_same() -> None:
    conv = nn.Conv2d(4, 6, 1, stride=2)
    layer = QuantisedConv2d.of(conv, bits=8, decay=0.99).eval()
    x = torch.randn(2, 4, 7, 7)
    wanted = nn.functional.conv2d(x, layer.rounded(), conv.bias, 2)
    torch.testing.assert_close(layer(x), wanted)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_fewer_bits_are_coarser(bits: int) -> None:
    layer = QuantisedLinear.of(nn.Linear(50, 8), bits=bits, decay=0.99)
    codes = layer.rounded() / layer.weight.abs().amax(1, keepdim=True) * (2 ** (bits - 1) - 1)
    assert codes.round().unique().numel() <= 2**bits - 1


def test_shared_layers_stay_shared() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = self.first
            self.tied = nn.Linear(4, 4)
            self.tied.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.tied(self.second(self.first(x)))

    made = quantised(Twice(), torch.zeros(1, 4))
    assert made.first is made.second
    assert made.tied.weight is made.first.weight
    assert isinstance(made.first, QuantisedLinear)


class Scaled(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Scaled(3, 2, 1), r"0 \(Scaled\) computes something else: keep"),
        (nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"), r"0 \(Conv2d\)"),
        (nn.ConvTranspose2d(3, 2, 1), r"0 \(ConvTranspose2d\)"),
    ],
)
def test_layers_that_only_look_known_are_refused_or_kept(part: nn.Module, said: str) -> None:
    net = nn.Sequential(part, nn.Flatten(), nn.Linear(128, 3))
    with pytest.raises(ModelError, match=said):
        quantised(net, IMAGE)
    made = quantised(net, IMAGE, keep=["0"])
    assert list(rounding_layers(made)) == ["2"]


def test_what_else_is_refused() -> None:
    encoder = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    with pytest.raises(ModelError, match="their rounding would be skipped"):
        quantised(encoder, torch.zeros(1, 5, 16), keep=["self_attn"])
    with pytest.raises(ModelError, match="bits is 9; integers of 2 to 8"):
        quantised(tiny_net(), IMAGE, bits=9)
    with pytest.raises(ModelError, match="has no module 'conv9'"):
        quantised(tiny_net(), IMAGE, keep=["conv9"])
    with pytest.raises(ModelError, match="has no Conv2d or Linear"):
        quantised(nn.Flatten(), IMAGE)
    with pytest.raises(ModelError, match="has no rounding layer"):
        converted(tiny_net())
    with pytest.raises(ModelError, match="conv, fc of TinyNet never read a batch in training"):
        converted(quantised(tiny_net(), IMAGE))


def settings(**more: object) -> Settings:
    return Settings(**{"epochs": 20, "seed": 3, "optimizer": adamw(0.02, weight_decay=0.0), **more})


def accuracy(net: nn.Module, batch: dict[str, Tensor]) -> float:
    with torch.no_grad():
        return (net(batch["batch.image"]).argmax(1) == batch["batch.label"]).float().mean().item()


def test_a_student_distilled_by_kd_keeps_its_accuracy_in_int8(platform: Platform) -> None:
    """Rounded in training, in int8, and beside the same student in float."""
    train = toy_batches()
    plain, student = untaught(4), quantised(untaught(4), IMAGE)
    for net in (plain, student):
        fit(kd(net, taught(6)), train, settings=settings(), platform=platform)
    batch = train.show(torch.arange(IMAGES), 0)
    whole, rounded = plain.eval(), student.eval()
    integers = converted(student)
    assert accuracy(whole, batch) > 0.9, "the toy is learnt"
    assert accuracy(rounded, batch) >= accuracy(whole, batch) - 0.05
    with torch.no_grad():
        a, b = rounded(batch["batch.image"]), integers(batch["batch.image"])
    assert torch.equal(a.argmax(1), b.argmax(1)), "the same class on every image"
    head = integers.fc
    one_step = (head.weight.float().abs().sum(1) * head.scale).max()
    assert (a - b).abs().max() <= one_step, "as if each number that the head reads moved one step"
    assert not is_quantised(unrounded(student))


class Stop(NullObserver):
    """Ends a fit from outside after some steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def step(self, images: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_a_stopped_training_goes_on_with_the_same_bits(platform: Platform, tmp_path) -> None:
    def go(directory, observer=None) -> dict[str, Tensor]:
        student = quantised(untaught(4), IMAGE)
        how = settings(epochs=4, checkpoint_seconds=0.0)
        fitted = fit(
            kd(student, taught(6)),
            toy_batches(),
            settings=how,
            platform=platform,
            directory=directory,
            identity="x",
            observer=observer,
        )
        return fitted.last["student"]

    whole = go(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "stopped", Stop(13))
    again = go(tmp_path / "stopped")
    assert whole["conv.input_range.seen"].item() == 4 * 6
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_it_compiles_without_graph_breaks_and_moves_its_ranges() -> None:
    torch._dynamo.reset()
    eager, other = quantised(untaught(4), IMAGE), quantised(untaught(4), IMAGE)
    for part in (eager, other):
        part.drop.p = 0.0
    fast = torch.compile(other, fullgraph=True, backend="aot_eager")
    x = torch.randn(4, 3, 8, 8)
    for _ in range(2):
        torch.testing.assert_close(fast(x), eager(x))
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value)
    torch._dynamo.reset()


NETWORKS = ("resnet8w4", "wrn_10_1", "vgg8", "mobilenet_v2", "shufflenet_v1", "shufflenet_v2",
            "lenet5", "convnet-4-8", "mlp-16-8")  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_every_family_can_be_rounded_and_converted(name: str) -> None:
    torch.manual_seed(0)
    net = build_model(name, classes=5, channels=3, size=32)
    made = quantised(net, torch.zeros(1, 3, 32, 32)).train()
    x = torch.randn(8, 3, 32, 32)
    with torch.no_grad():
        for _ in range(3):
            made(x)
        rounded, whole = made.eval()(x), unrounded(made)(x)
        integers = converted(made)(x)
    spread = whole.std()
    assert (rounded - integers).abs().max() < 0.1 * spread
    assert (rounded - whole).abs().mean() < 0.5 * spread, "rounding does not change everything"
    assert (rounded - whole).abs().max() > 0, "and it does something"
    left = [p for p in converted(made).modules() if isinstance(p, nn.BatchNorm2d)]
    pre_activation = name == "wrn_10_1"
    assert bool(left) == pre_activation, "norms that follow a convolution are folded"
