"""Starting anew: nothing of what was learnt stays, and a seed gives the same network."""

import pytest
import torch
from torch import nn

from stillhouse.errors import ModelError
from stillhouse.models import build_model, weights_fingerprint
from stillhouse.students.fresh import fresh_


def test_nothing_learnt_stays() -> None:
    net = build_model("wrn_16_1", classes=10)
    with torch.no_grad():
        for tensor in [*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())]:
            tensor.fill_(7.0)
    fresh_(net, seed=0)
    assert not any(bool((tensor == 7).any()) for tensor in net.state_dict().values())
    assert net.bn1.running_var.eq(1).all()
    found = net.layer2[0].conv2.weight.std().item()
    assert found == pytest.approx((2 / (9 * 32)) ** 0.5, rel=0.05), "He, by outputs"


def test_the_seed_decides() -> None:
    nets = [build_model("resnet8", classes=10) for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        fresh_(net, seed=seed)
    first, same, other = map(weights_fingerprint, nets)
    assert first == same != other


def test_the_generators_go_on_as_if_nothing_had_been() -> None:
    net = nn.Linear(3, 3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fresh_(net, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_parameter_that_nobody_can_draw_is_an_error_and_all_stays() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.scale = nn.Parameter(torch.ones(2))

    net = Scaled()
    before = weights_fingerprint(net)
    with pytest.raises(ModelError, match=r"new values for Scaled.*start: teacher"):
        fresh_(net, seed=0)
    assert weights_fingerprint(net) == before
