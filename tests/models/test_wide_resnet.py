import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models import build_model, describe


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("wrn_40_2", 2_255_156), ("wrn_16_2", 703_284), ("wrn_40_1", 569_780)],
)
def test_parameters_are_those_of_the_literature(name, parameters):
    assert describe(build_model(name, classes=100)).parameters == parameters


def test_forward_equals_the_formulas():
    network = build_model("wrn_16_2", classes=5).double().eval()
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            low = 0.5 if name.endswith(("weight", "running_var")) else -0.5
            tensor.uniform_(low, low + 1, generator=generator)

    def active(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"].reshape(-1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (var + 1e-5).sqrt() * weight + bias).clamp(min=0)

    image = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    x = F.conv2d(image, state["conv1.weight"], padding=1)
    for stage in (1, 2, 3):
        for block in (0, 1):
            at = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            entry = active(x, f"{at}.bn1")
            inner = F.conv2d(entry, state[f"{at}.conv1.weight"], stride=stride, padding=1)
            inner = F.conv2d(active(inner, f"{at}.bn2"), state[f"{at}.conv2.weight"], padding=1)
            if block == 0:
                x = F.conv2d(entry, state[f"{at}.shortcut.weight"], stride=stride)
            x = x + inner
    last = x
    penultimate = active(last, "bn1").mean((2, 3))
    expected = penultimate @ state["fc.weight"].T + state["fc.bias"]

    seen = {}
    network.layer3.register_forward_hook(lambda *call: seen.update(layer3=call[2]))
    network.fc.register_forward_pre_hook(lambda *call: seen.update(embedding=call[1][0]))
    torch.testing.assert_close(network(image), expected)
    torch.testing.assert_close(seen["layer3"], last)
    torch.testing.assert_close(seen["embedding"], penultimate)


def test_narrow_network_has_identity_shortcuts_in_its_first_stage():
    names = [
        name
        for name, layer in build_model("wrn_16_1", classes=10).named_modules()
        if isinstance(layer, nn.Conv2d) and "shortcut" in name
    ]
    assert names == ["layer2.0.shortcut", "layer3.0.shortcut"]


def test_depth_that_does_not_exist():
    with pytest.raises(ModelError, match=r"6n \+ 4.*not 17"):
        build_model("wrn_17_2", classes=10)
