import pytest
import torch
import torch.nn.functional as F

from stillhouse.errors import ModelError
from stillhouse.models import build_model, describe


@pytest.mark.parametrize(("name", "parameters"), [("lenet5", 61_706), ("lenet5_half", 35_820)])
def test_parameters_are_those_of_the_literature(name, parameters):
    assert describe(build_model(name, classes=10, channels=1)).parameters == parameters


def test_small_digits_get_a_border():
    network = build_model("lenet5_half", classes=10, channels=1, size=28)
    image = torch.randn(3, 1, 28, 28)
    framed = torch.zeros(3, 1, 32, 32)
    framed[:, :, 2:30, 2:30] = image
    assert torch.equal(network(image), network(framed))


def test_forward_equals_the_formulas():
    network = build_model("lenet5", classes=10, channels=1).double()
    state = network.state_dict()
    image = torch.randn(2, 1, 32, 32, dtype=torch.float64)
    x = image
    for name in ("conv1", "conv2"):
        x = F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"])
        x = F.max_pool2d(x.clamp(min=0), 2)
    x = x.reshape(2, -1)
    for name in ("fc1", "fc2"):
        x = (x @ state[f"{name}.weight"].T + state[f"{name}.bias"]).clamp(min=0)
    torch.testing.assert_close(network(image), x @ state["fc.weight"].T + state["fc.bias"])


def test_other_sizes_are_refused_when_built_and_when_run():
    with pytest.raises(ModelError, match=r"'lenet5' takes images of 32x32 or 28x28, got 8x8"):
        build_model("lenet5", classes=10, channels=1, size=8)
    with pytest.raises(ModelError, match=r"got 32x28"):
        build_model("lenet5", classes=10, channels=1)(torch.zeros(1, 1, 32, 28))
