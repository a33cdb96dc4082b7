import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stillhouse.models import build_model, describe


@pytest.mark.parametrize(("name", "parameters"), [("vgg13", 9_462_180), ("vgg8", 3_965_028)])
def test_parameters_are_those_of_the_literature(name, parameters):
    assert describe(build_model(name, classes=100)).parameters == parameters


@pytest.mark.parametrize("depth", [8, 11, 13, 16, 19])
def test_name_counts_weighted_layers_of_the_original(depth):
    # VGG-n has n - 3 convolutions and three linear layers; vgg8 counts the benchmark's way.
    network = build_model(f"vgg{depth}", classes=10)
    convolutions = sum(isinstance(layer, nn.Conv2d) for layer in network.modules())
    assert convolutions == depth - 3


def test_forward_equals_the_formulas():
    network = build_model("vgg8", classes=5).double().eval()
    state = network.state_dict()
    image = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    x = image
    for stage in range(1, 6):
        at = f"layer{stage}"
        # Batch norm in its first state divides by sqrt(1 + eps).
        x = F.conv2d(x, state[f"{at}.0.weight"], state[f"{at}.0.bias"], padding=1)
        x = (x / (1 + 1e-5) ** 0.5).clamp(min=0)
        if stage <= 3:
            x = F.max_pool2d(x, 2)
    expected = x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]
    torch.testing.assert_close(network(image), expected)


@pytest.mark.parametrize(("side", "last"), [(8, 1), (32, 4), (64, 4)])
def test_large_images_are_pooled_once_more(side, last):
    network = build_model("vgg8", classes=5).eval()
    seen = []
    network.layer5.register_forward_hook(lambda *call: seen.append(tuple(call[2].shape)))
    network(torch.zeros(1, 3, side, side))
    assert seen == [(1, 512, last, last)]
