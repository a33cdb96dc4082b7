import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models import build_model, describe
from stillhouse.models.resnet import SkippingPointwise


def scrambled(network: nn.Module) -> nn.Module:
    """The network in double precision and eval mode, with batch norms that do something."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point() and tensor.ndim == 1:
                low = 0.5 if name.endswith(("weight", "running_var")) else -0.5
                tensor.uniform_(low, low + 1, generator=generator)
    return network.double().eval()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet20", 278_324),
        ("resnet56", 861_620),
        ("resnet110", 1_736_564),
        ("resnet32x4", 7_433_860),
        ("resnet8x4", 1_233_540),
        ("resnet8w8", 22_924),
        ("resnet8w16", 83_892),
    ],
)
def test_parameters_are_those_of_the_literature(name, parameters):
    assert describe(build_model(name, classes=100)).parameters == parameters


def test_width_16_is_the_network_of_the_paper():
    assert describe(build_model("resnet20w16", classes=7)) == describe(
        build_model("resnet20", classes=7)
    )


def test_modules_and_depth_are_those_of_the_benchmark():
    network = build_model("resnet20", classes=10)
    assert [name for name, _ in network.named_children()] == [
        "conv1",
        "bn1",
        "relu",
        "layer1",
        "layer2",
        "layer3",
        "avgpool",
        "fc",
    ]
    weighted = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and "downsample" not in name
    ]
    assert len(weighted) == 20
    shortcuts = {name for name in network.state_dict() if "downsample.0" in name}
    assert shortcuts == {"layer2.0.downsample.0.weight", "layer3.0.downsample.0.weight"}
    assert "layer1.0.downsample.0.weight" in build_model("resnet8x4", classes=10).state_dict()


def test_forward_equals_the_formulas():
    network = scrambled(build_model("resnet14w4", classes=5))
    state = network.state_dict()

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"].reshape(-1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    image = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    x = norm(F.conv2d(image, state["conv1.weight"], padding=1), "bn1").clamp(min=0)
    stages = {}
    for stage in (1, 2, 3):
        for block in (0, 1):
            at = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            shortcut = x
            if stride == 2:
                shortcut = F.conv2d(x, state[f"{at}.downsample.0.weight"], stride=2)
                shortcut = norm(shortcut, f"{at}.downsample.1")
            x = F.conv2d(x, state[f"{at}.conv1.weight"], stride=stride, padding=1)
            x = norm(x, f"{at}.bn1").clamp(min=0)
            x = norm(F.conv2d(x, state[f"{at}.conv2.weight"], padding=1), f"{at}.bn2")
            x = (x + shortcut).clamp(min=0)
        stages[stage] = x
    expected = x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]

    seen = {}
    network.layer2.register_forward_hook(lambda *call: seen.update(layer2=call[2]))
    torch.testing.assert_close(network(image), expected)
    torch.testing.assert_close(seen["layer2"], stages[2])


def test_convolutions_start_as_he_says():
    torch.manual_seed(0)
    weight = build_model("resnet8x4", classes=10).layer3[0].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert weight.abs().max() > 4 * weight.std()  # normal, not uniform


@pytest.mark.parametrize("name", ["resnet9w8", "resnet2w8"])
def test_depth_that_does_not_exist(name):
    with pytest.raises(ModelError, match=r"6n \+ 2"):
        build_model(name, classes=10)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stride", [1, 2])
def test_skipping_convolution_is_the_strided_one(stride, layout):
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    skipping = SkippingPointwise(4, 8, 1, stride, bias=False).double()
    y = skipping(x)
    # Written as a sum over channels: the library's own strided gradient is what is avoided.
    kept = x[:, :, ::stride, ::stride]
    expected = torch.einsum("oc,bchw->bohw", skipping.weight[:, :, 0, 0], kept)
    torch.testing.assert_close(y, expected)
    ours = torch.autograd.grad(y.square().sum(), (x, skipping.weight))
    theirs = torch.autograd.grad(expected.square().sum(), (x, skipping.weight))
    torch.testing.assert_close(ours, theirs)


def test_narrow_networks_ask_for_no_narrow_strided_pointwise_convolution():
    for name in ("resnet8w8", "resnet20w4", "resnet8"):
        for layer in build_model(name, classes=10).modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.stride[0] > 1:
                assert type(layer) is (SkippingPointwise if layer.in_channels < 16 else nn.Conv2d)
