import pytest
import torch
from torch import nn

from stillhouse.errors import ModelError
from stillhouse.models import build_model, describe


@pytest.mark.parametrize("widths", [(8, 16, 32), (4, 8, 64), (5,), (4, 4, 4, 4, 4)])
def test_convnet_of_any_widths(widths):
    network = build_model("convnet-" + "-".join(map(str, widths)), classes=7, channels=2)
    expected, before = 0, 2
    for width in widths:
        expected += 9 * before * width + 2 * width
        before = width
    assert describe(network).parameters == expected + 7 * before + 7
    strides = [layer.stride[0] for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [2] * (len(widths) - 1) + [1]
    assert network.fc.in_features == widths[-1]
    assert network.eval()(torch.zeros(3, 2, 8, 8)).shape == (3, 7)


@pytest.mark.parametrize("widths", [(64, 32), (3,)])
def test_mlp_of_any_widths(widths):
    network = build_model("mlp-" + "-".join(map(str, widths)), classes=7, channels=2, size=8)
    expected, before = 0, 2 * 8 * 8
    for width in widths:
        expected += before * width + width
        before = width
    assert describe(network).parameters == expected + 7 * before + 7
    image = torch.randn(3, 2, 8, 8)
    x = image.reshape(3, -1)
    for index in range(len(widths)):
        linear = network.get_submodule(f"layer{index + 1}.linear")
        x = (x @ linear.weight.T + linear.bias).clamp(min=0)
    torch.testing.assert_close(network(image), x @ network.fc.weight.T + network.fc.bias)


def test_mlp_must_know_the_size():
    with pytest.raises(ModelError, match=r"size.*build_model\('mlp-64-32', .*size=28\)"):
        build_model("mlp-64-32", classes=10)
