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


def test_a_convnet_may_end_in_an_embedding_of_both_signs():
    """The layers behind the last map, by hand: every place has its own weight."""
    torch.manual_seed(0)
    network = build_model("convnet-4-6-e9", classes=7, channels=2, size=(9, 6)).eval()
    image = torch.randn(3, 2, 9, 6)
    last = network.layer2(network.layer1(image))
    places, norm, linear, last_norm = network.embed
    assert last.shape == (3, 6, 5, 3)
    z = (last * places.weight[:, 0]).sum((2, 3)) / (1 + norm.eps) ** 0.5
    z = z @ linear.weight[:, :, 0, 0].T / (1 + last_norm.eps) ** 0.5
    assert z.min() < 0 < z.max()
    wanted = z @ network.fc.weight.T + network.fc.bias
    torch.testing.assert_close(network(image), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ModelError, match=r"size.*build_model\('convnet-4-e9', .*size=32\)"):
        build_model("convnet-4-e9", classes=10)


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
