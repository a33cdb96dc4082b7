"""Tails: a network from a tap on equals the network; what cannot be cut says why."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.bridges import shuffled, tail_of, with_tap
from stillhouse.engine.taps import Taps
from stillhouse.errors import ModelError
from stillhouse.models import build_model

CUTS = [
    ("resnet20", "layer2"),
    ("resnet110", "layer1"),
    ("wrn_16_2", "layer2"),
    ("wrn_16_2", "layer3.0.relu1"),
    ("vgg8", "layer3"),
    ("mobilenet_v2", "layer4"),
    ("shufflenet_v1", "layer2"),
    ("shufflenet_v2", "layer2"),
    ("lenet5", "pool1"),
    ("convnet-4-8-16", "layer2"),
    ("convnet-4-8-16", "fc:in"),
    ("mlp-16-8", "layer1"),
]


@pytest.mark.parametrize(("name", "tap"), CUTS, ids=lambda value: str(value))
@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_its_trunk_and_its_tail(name: str, tap: str, training: bool) -> None:
    torch.manual_seed(0)
    image = torch.randn(4, 1 if name == "lenet5" else 3, 32, 32)
    net = build_model(name, classes=5, channels=image.shape[1], size=32).train(training)
    tail, both = tail_of(net, tap, image=image), with_tap(net, tap, image=image)
    assert tail.training == both.training == training
    with torch.no_grad():
        features, same = copy.deepcopy(both)(image)
        with Taps(net, [tap], who="net") as taps:
            logits = net(image)
            heard = taps.collect()[tap]
        assert torch.equal(features, heard)
        torch.testing.assert_close(same, logits)
        torch.testing.assert_close(tail(heard), logits)
        smaller = features[:2]  # the number of images is no constant
        assert tail.eval()(smaller).shape == (2, 5)


def test_a_tail_is_a_copy_of_its_own() -> None:
    net = build_model("resnet8", classes=5)
    net.fc.weight.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    tail = tail_of(net, "layer2")
    assert set(tail.state_dict()) == {k for k in before if k.startswith(("layer3", "fc"))}
    assert not {id(p) for p in tail.parameters()} & {id(p) for p in net.parameters()}
    assert not tail.fc.weight.requires_grad, "flags are as they were"
    with torch.no_grad():
        for parameter in tail.parameters():
            parameter.add_(1.0)
    tail(torch.randn(4, 32, 8, 8)).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert net.training


def test_shuffled_weights_are_others_of_the_same_values() -> None:
    net = build_model("resnet8", classes=5)
    net(torch.randn(4, 3, 8, 8))
    net.conv1.weight.requires_grad_(False)
    torch.manual_seed(1)
    one = shuffled(copy.deepcopy(net))
    torch.manual_seed(2)
    two = shuffled(copy.deepcopy(net))
    for key, value in net.named_parameters():
        a, b = one.get_parameter(key), two.get_parameter(key)
        assert torch.equal(a.flatten().sort().values, value.flatten().sort().values), key
        assert torch.equal(a, value) == torch.equal(a, b) == (value.ndim == 1), key
        assert a.requires_grad
    assert one.bn1.running_mean.abs().sum() == 0 < net.bn1.running_mean.abs().sum()


class Skipping(nn.Module):
    """A long shortcut around its second layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.fc = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        first = self.one(x)
        return self.fc(self.two(first) + first)


class Asking(nn.Module):
    """Its way depends on values, on training, or on nothing; its last part has two outputs."""

    def __init__(self, about: str) -> None:
        super().__init__()
        self.about, self.one, self.fc = about, nn.Linear(4, 4), nn.Linear(4, 2)
        self.idle = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.one(x)
        if self.about == "values" and x.sum() > 0:
            x = -x
        if self.about == "training":
            x = F.dropout(x, 0.5, training=self.training)
        if self.about == "twice":
            x = self.one(x)
        return (self.fc(x), x) if self.about == "outputs" else self.fc(x)


@pytest.mark.parametrize(
    ("net", "tap", "message"),
    [
        (Skipping(), "two", r"after 'two' of Skipping also reads 'one' from before .*skip conn"),
        (Asking("values"), "one", r"cannot be traced by torch\.fx .*no part after 'one'"),
        (Asking("training"), "one", r"asks whether it is in training.*nn\.Dropout instead"),
        (Asking("outputs"), "one", "gives several outputs, and only logits alone"),
        (Asking("twice"), "one", "'one' of Asking runs 2 times in a pass"),
        (Asking(""), "idle", "'idle' of Asking does not run in a pass"),
        (Asking(""), "ones", "Asking has no module 'ones'; nearest: one"),
        (Asking(""), "one:1", "'one:1' is one of several outputs"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_cut_says_why(net: nn.Module, tap: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tail_of(net, tap, image=torch.randn(2, 4))


def test_a_skip_connection_that_stays_before_or_behind_the_tap_is_no_problem() -> None:
    net, x = Skipping(), torch.randn(3, 4)
    torch.testing.assert_close(tail_of(net, "one")(net.one(x)), net(x))
    torch.testing.assert_close(with_tap(net, "two")(x)[1], net(x))


def test_without_an_image_only_networks_that_ask_for_none_are_cut() -> None:
    with pytest.raises(ModelError, match=r"VGG cannot be traced by torch\.fx"):
        tail_of(build_model("vgg8", classes=5), "layer3")
