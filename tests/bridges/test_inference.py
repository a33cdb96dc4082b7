"""Models for inference by another head: against the algebra in float64, and sharing nothing."""

import copy

import pytest
import torch
from tiny import tiny_net
from torch import nn

from stillhouse.bridges import MixtureHead, folded, joined, with_head
from stillhouse.errors import ModelError


def by_hand(linear: nn.Linear, z: torch.Tensor) -> torch.Tensor:
    value = z.double() @ linear.weight.double().T
    return value if linear.bias is None else value + linear.bias.double()


@pytest.mark.parametrize("head_bias", [True, False])
@pytest.mark.parametrize("bridge_bias", [True, False])
def test_a_folded_head_is_the_head_after_the_bridge(head_bias: bool, bridge_bias: bool) -> None:
    torch.manual_seed(0)
    bridge, head = nn.Linear(5, 7, bias=bridge_bias), nn.Linear(7, 3, bias=head_bias)
    z = torch.randn(11, 5)
    made = folded(bridge, head)
    assert (made.in_features, made.out_features) == (5, 3)
    assert (made.bias is not None) == (head_bias or bridge_bias)
    wanted = by_hand(head, by_hand(bridge, z))
    torch.testing.assert_close(made(z).double(), wanted, rtol=1e-5, atol=1e-6)


def test_an_identity_gives_a_copy_of_the_head() -> None:
    head = nn.Linear(4, 3)
    made = folded(nn.Identity(), head)
    assert torch.equal(made.weight, head.weight)
    made.weight.data += 1.0
    assert not torch.equal(made.weight, head.weight)


class Normed(nn.Linear):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.normalize(z))


def test_what_is_no_plain_linear_is_refused_and_joined_unfolded() -> None:
    with pytest.raises(ModelError, match="and the head is a Normed"):
        folded(nn.Identity(), Normed(4, 3))
    with pytest.raises(ModelError, match="and the bridge is a Sequential"):
        folded(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 3))
    with pytest.raises(ModelError, match="the bridge gives 5 features and the head takes 4"):
        folded(nn.Linear(4, 5), nn.Linear(4, 3))
    hooked = nn.Linear(4, 3)
    hooked.register_forward_hook(lambda _module, _args, out: 2 * out)
    with pytest.raises(ModelError, match="the head is a Linear with hooks"):
        folded(nn.Identity(), hooked)
    z = torch.randn(6, 2)
    for bridge in (nn.Linear(2, 4), nn.Sequential(nn.Linear(2, 4), nn.ReLU())):
        for head in (Normed(4, 3), hooked, nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 3))):
            torch.testing.assert_close(joined(bridge, head)(z), head(bridge(z)))


def test_another_head_takes_the_place_and_nothing_is_shared() -> None:
    model, head = tiny_net(4, 1).eval(), nn.Linear(4, 5)
    before = copy.deepcopy(model.state_dict())
    made = with_head(model, "fc", head)
    image = torch.randn(3, 3, 8, 8)
    pooled = model.relu(model.bn(model.conv(image))).mean((2, 3))
    torch.testing.assert_close(made(image), head(pooled))
    assert not made.training
    mine = {id(p) for p in made.parameters()}
    assert not mine & {id(p) for p in [*model.parameters(), *head.parameters()]}
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model(image).shape == (3, 3)


def test_an_empty_path_gives_the_head_and_a_wrong_one_is_named() -> None:
    head = nn.Linear(4, 5)
    assert torch.equal(with_head(nn.Linear(4, 3), "", head).weight, head.weight)
    with pytest.raises(ModelError, match="TinyNet has no module 'fcc'; nearest: fc"):
        with_head(tiny_net(), "fcc", head)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_mixture_head_mixes_probabilities(alpha: float) -> None:
    torch.manual_seed(0)
    own, other, z = nn.Linear(4, 3), nn.Linear(4, 3), torch.randn(9, 4)
    wanted = (1 - alpha) * by_hand(own, z).softmax(1) + alpha * by_hand(other, z).softmax(1)
    made = copy.deepcopy(MixtureHead(own, other, alpha))(z)
    torch.testing.assert_close(made.exp().double(), wanted, rtol=1e-5, atol=1e-6)
