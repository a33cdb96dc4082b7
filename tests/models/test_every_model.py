"""What the rest of the house relies on, for one network of each kind."""

import pytest
import torch
from torch import Tensor, nn

from stillhouse.models import build_model, model_names
from stillhouse.models.catalogue import OTHERS

SENTENCES = ("bag-", "encoder-", "decoder-")  # tests/tasks/test_texts.py
OWN = tuple(name for name in model_names() if not name.startswith((*OTHERS, *SENTENCES)))
KINDS = (
    ("resnet14w4", 9),
    ("wrn_16_1", 8),
    ("vgg8", 8),
    ("mobilenet_v2", 8),
    ("mobilefacenet_0.25", 8),
    ("shufflenet_v1", 8),
    ("shufflenet_v2", 8),
    ("lenet5", 28),
    ("convnet-4-8-64", 8),
    ("mlp-16-8", 8),
    ("vit-8-2-2", 8),
    ("deit-8-2-2", 8),
)
UNLIKE = ("deit", "mobilefacenet")  # two heads: test_vit.py; cosines: test_mobilefacenet.py
LINEAR = [kind for kind in KINDS if not kind[0].startswith(UNLIKE)]
ALIKE = "mobilefacenet_0.25"  # made of what mobilenet_v2 is made of
each_kind = pytest.mark.parametrize(("name", "size"), KINDS)


def build(name: str, size: int) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, classes=5, channels=2, size=size)


@pytest.mark.parametrize("name", OWN)
def test_small_images_of_any_channels_become_logits(name):
    size = 28 if name.startswith("lenet") else 8
    network = build_model(name, classes=5, channels=1, size=size).eval()
    with torch.no_grad():
        logits = network(torch.randn(2, 1, size, size))
    assert type(logits) is Tensor
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


@each_kind
def test_every_parameter_learns(name, size):
    network = build(name, size)
    network(torch.randn(8, 2, size, size)).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@each_kind
def test_what_a_hook_captures_is_never_overwritten(name, size):
    network = build(name, size)
    seen: list[tuple[str, Tensor, int, Tensor]] = []
    calls: dict[str, int] = {}

    def note(key: str, tensor: Tensor) -> None:
        seen.append((key, tensor, tensor._version, tensor.detach().clone()))

    def entered(key: str, inputs: tuple[Tensor]) -> None:
        calls[key] = calls.get(key, 0) + 1
        note(f"{key}:in", inputs[0])

    for key, module in network.named_modules():
        module.register_forward_pre_hook(lambda _, inputs, key=key: entered(key, inputs))
        module.register_forward_hook(lambda _, inputs, output, key=key: note(key, output))
    network(torch.randn(4, 2, size, size)).sum().backward()
    for key, tensor, version, values in seen:
        assert tensor._version == version, key
        assert torch.equal(tensor, values), key
    # A module that ran twice would show a tap two different tensors.
    assert set(calls.values()) == {1}
    assert "fc" in calls


@pytest.mark.parametrize(("name", "size"), LINEAR)
def test_embedding_times_classifier_is_the_logits(name, size):
    network = build(name, size).eval()
    seen = []
    network.fc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits = network(torch.randn(2, 2, size, size))
    assert seen[0].shape == (2, network.fc.in_features)
    torch.testing.assert_close(seen[0] @ network.fc.weight.T + network.fc.bias, logits)


@pytest.mark.parametrize(("name", "size"), [kind for kind in KINDS if kind[0] != ALIKE])
def test_compiles_as_one_graph(name, size):
    network = build(name, size).eval()
    image = torch.randn(2, 2, size, size)
    torch._dynamo.reset()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(image), network(image))


@each_kind
def test_channels_last_gives_the_same_logits(name, size):
    network = build(name, size).eval()
    image = torch.randn(2, 2, size, size)
    expected = network(image)
    network.to(memory_format=torch.channels_last)
    actual = network(image.to(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
